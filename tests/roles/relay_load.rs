//! Requests of strangers that could hold up everybody else: each must cost little, however
//! much is registered and shared.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use peerline::relay::{Relay, RelaySettings};
use peerline::role::{Input, Role};

use crate::alone::handle_alone;
use crate::defaults::defaults;
use crate::processor_time::processor_time;
use crate::relay::{in_a_datagram, relay, stage};
use crate::stage::Stage;

/// A relay, and the operator at connection 1, who may register any address.
fn relay_with_operator() -> Stage<Relay> {
    let mut stage = stage(RelaySettings {
        max_nodes_per_address: usize::MAX,
        ..defaults()
    });
    stage
        .connect(1, IpAddr::from([127, 0, 0, 1]))
        .expect("it is not connected");
    stage
}

/// Sends lines on a connection and returns the replies.
fn ask(stage: &mut Stage<Relay>, conn: u32, lines: &str) -> String {
    stage
        .arrive(conn, lines.as_bytes())
        .expect("it is connected");
    let mut replies = stage.take_text();
    while stage.role().has_work() {
        stage.advance(Duration::ZERO);
        replies += &stage.take_text();
    }
    replies.replace("timer\n", "")
}

/// The shortest time of several attempts.
fn shortest(mut attempt: impl FnMut()) -> Duration {
    let times = (0..5).map(|_| {
        let began = processor_time();
        attempt();
        processor_time().saturating_sub(began)
    });
    times.min().unwrap_or_default()
}

#[test]
fn an_ambiguous_name_does_not_slow_the_search_of_all() {
    let mut stage = relay_with_operator();
    let shares: String = (0..50_000).map(|n| format!("SHARE 1 - {n:06}\n")).collect();
    ask(&mut stage, 1, &format!("REGISTER 192.0.2.1 1\n{shares}"));
    let plain = shortest(|| {
        assert!(ask(&mut stage, 1, "SEARCH\n").starts_with("1 < FILES 1000 50000\n"));
    });
    ask(&mut stage, 1, "REGISTER 192.0.2.2 1\nSHARE 2 - 040000\n");
    let ambiguous = shortest(|| {
        assert!(ask(&mut stage, 1, "SEARCH\n").starts_with("1 < FILES 1000 50001\n"));
    });
    assert!(
        ambiguous < 3 * plain,
        "{plain:?} before, {ambiguous:?} after"
    );
}

#[test]
fn a_name_with_thousands_of_contents_is_not_slow() {
    let mut stage = relay_with_operator();
    let share = |stage: &mut Stage<Relay>, nodes: Range<u32>| {
        for node in nodes {
            let [_, _, c, d] = node.to_be_bytes();
            let lines = format!("REGISTER 10.0.{c}.{d} 1\nSHARE {node} - same\n");
            ask(stage, 1, &lines);
        }
    };
    // Each request looks at a bounded number of holders in both cases: FIND at four thousand.
    let time_requests = |stage: &mut Stage<Relay>| {
        ["SEARCH same\n", "FIND same\n", "SHARE 1 - same\n"].map(|line| {
            shortest(|| {
                ask(stage, 1, &line.repeat(10));
            })
        })
    };
    share(&mut stage, 0..5_000);
    let few = time_requests(&mut stage);
    share(&mut stage, 5_000..20_000);
    let many = time_requests(&mut stage);
    for (few, many) in few.into_iter().zip(many) {
        let max = 2 * few + Duration::from_millis(1);
        assert!(many < max, "{few:?} with 5,000, {many:?} with 20,000");
    }
}

#[test]
fn many_ports_at_one_address_hide_no_other_holder() {
    const OTHERS: usize = 3;
    let mut stage = relay_with_operator();
    let share = |address: &str| format!("REGISTER {address}\nSHARE 1 - same\n");
    let ports: String = (1..=2_000)
        .map(|port| share(&format!("192.0.2.1 {port}")))
        .collect();
    ask(&mut stage, 1, &ports);
    let others: String = (0..OTHERS)
        .map(|n| share(&format!("192.0.2.{} 1", n + 2)))
        .collect();
    ask(&mut stage, 1, &others);
    let of_others = |reply: &str| {
        assert!(reply.contains(" 1000\n"), "{reply}");
        reply.matches("192.0.2.").count() - reply.matches("192.0.2.1 ").count()
    };
    for _ in 0..5 {
        let lines = ask(&mut stage, 1, "FIND same\n");
        assert_eq!(of_others(&lines), OTHERS, "{lines}");
        let mut datagram = String::new();
        stage.call(|relay, context| datagram = in_a_datagram(relay, context.now, "FIND same\n"));
        assert_eq!(of_others(&datagram), OTHERS, "{datagram}");
    }
}

#[test]
fn each_holder_at_one_address_is_named_first_in_turn() {
    const HOLDERS: usize = 100;
    let mut stage = relay_with_operator();
    for port in 1..=HOLDERS {
        ask(
            &mut stage,
            1,
            &format!("REGISTER 192.0.2.1 {port}\nSHARE 1 - same\n"),
        );
    }
    let mut first = HashSet::new();
    for _ in 0..HOLDERS {
        let mut datagram = String::new();
        stage.call(|relay, context| datagram = in_a_datagram(relay, context.now, "FIND same\n"));
        let holders: Vec<&str> = datagram
            .lines()
            .filter_map(|line| line.split("192.0.2.1 ").nth(1))
            .collect();
        assert!((1..HOLDERS).contains(&holders.len()), "{datagram}");
        first.insert(holders[0].to_owned());
    }
    assert_eq!(first.len(), HOLDERS);
}

#[test]
fn a_batch_of_a_search_is_bounded_in_bytes() {
    let mut stage = relay_with_operator();
    let name = |n: u32| format!("{n:04}{}", "x".repeat(1_000));
    let shares: String = (0..500)
        .map(|n| format!("SHARE 1 - {}\n", name(n)))
        .collect();
    ask(&mut stage, 1, &format!("REGISTER 192.0.2.1 1\n{shares}"));
    let mut pages = vec![ask(&mut stage, 1, "SEARCH\n")];
    while pages
        .last()
        .is_some_and(|page| !page.starts_with("1 < FILES 0 "))
    {
        pages.push(ask(&mut stage, 1, "MORE\n"));
    }
    for page in &pages {
        // The stage puts four characters before each line.
        assert!(page.len() < 256 * 1024 + 4 * 1001, "{} bytes", page.len());
    }
    let listed: Vec<&str> = pages
        .iter()
        .flat_map(|page| page.lines().skip(1))
        .map(|line| line.rsplit(' ').next().unwrap_or_default())
        .collect();
    assert_eq!(listed, (0..500).map(name).collect::<Vec<_>>());
}

/// The addresses in the reply to `LIST`.
fn list(stage: &mut Stage<Relay>) -> Vec<String> {
    let reply = ask(stage, 1, "LIST\n");
    let mut lines = reply.lines().filter_map(|line| line.strip_prefix("1 < "));
    let head = lines.next().expect("a first line").to_owned();
    let nodes: Vec<String> = lines.map(ToOwned::to_owned).collect();
    assert_eq!(head, format!("NODES {}", nodes.len()));
    nodes
}

#[test]
fn a_long_list_keeps_its_order_while_nodes_come_and_go() {
    let mut stage = relay_with_operator();
    let address = |node: u32| format!("10.0.{}.{} 7", node / 250, node % 250);
    let change = |stage: &mut Stage<Relay>, verb: &str, nodes: &[u32]| {
        let lines = nodes
            .iter()
            .map(|node| format!("{verb} {}\n", address(*node)));
        let replies = ask(stage, 1, &lines.collect::<String>());
        assert_eq!(replies.matches("< OK").count(), nodes.len());
    };
    let mut listed: Vec<u32> = (0..13_000).collect();
    change(&mut stage, "REGISTER", &listed);
    for (step, keeps) in [(0, 10), (1, 7), (2, 1), (3, 13), (4, 2), (5, 1_000_000)] {
        let (kept, gone): (Vec<u32>, Vec<u32>) =
            listed.iter().partition(|node| (**node + step) % keeps < 2);
        change(&mut stage, "UNREGISTER", &gone);
        listed = kept;
        // Some of those that have left come back, at the end.
        let back: Vec<u32> = gone.into_iter().step_by(3).collect();
        change(&mut stage, "REGISTER", &back);
        listed.extend(back);
        let expected: Vec<String> = listed.iter().map(|node| address(*node)).collect();
        assert!(list(&mut stage) == expected, "in step {step}");
    }
}

/// The time that a request takes in the role alone.
fn time_of(relay: &mut Relay, line: &str) -> Duration {
    let input = Input::Line(line.as_bytes());
    handle_alone(relay, input).0
}

/// The work that the relay counts for a request for the head of a page.
fn http_work(relay: &mut Relay, target: &str, headers: &str) -> usize {
    let head = format!("HEAD /{target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    handle_alone(relay, Input::HttpHead(head.as_bytes())).1
}

#[test]
fn a_look_at_thousands_of_holders_counts_as_work_however_short_the_answer() {
    const HOLDERS: u32 = 5_000;
    let mut stage = relay_with_operator();
    for node in 0..HOLDERS {
        let [_, _, c, d] = node.to_be_bytes();
        ask(
            &mut stage,
            1,
            &format!("REGISTER 10.0.{c}.{d} 1\nSHARE 1 - same\n"),
        );
    }
    ask(&mut stage, 1, "REGISTER 192.0.2.1 1\nSHARE 1 - rare\n");
    let mut works = Vec::new();
    stage.call(|relay, _| {
        for line in [
            "PING",
            "FIND rare",
            "DIGEST rare",
            "FIND same",
            "DIGEST same",
        ] {
            works.push(handle_alone(relay, Input::Line(line.as_bytes())).1);
        }
        for target in ["files/rare", "files/same", "files/same?size=2"] {
            works.push(http_work(relay, target, ""));
        }
    });
    // Of so many holders, one request looks at 4,096, and 16 count as a short line. To let their
    // addresses take turns is another look.
    let (once, twice) = (256, 512);
    let lines = [0, 0, 0, twice, 3 * once];
    let targets = [0, 3 * once, once];
    assert_eq!(works, [&lines[..], &targets[..]].concat());
    // What is made of the holders counts as well, also if only the head is sent.
    stage.call(|relay, _| {
        assert!(http_work(relay, "metalink/same.meta4", "") > twice);
        for (target, rows) in [
            ("holders/same", 1000),
            ("api/holders/same", 2000),
            ("nodes", 100),
        ] {
            let work = http_work(relay, target, "");
            assert!(work > rows, "{target}: {work}");
        }
        let (page, gzip) = ("nodes", "Accept-Encoding: gzip\r\n");
        let (plain, compressed) = (http_work(relay, page, ""), http_work(relay, page, gzip));
        assert_eq!(compressed / 2, plain);
    });
}

#[test]
fn a_list_after_a_change_costs_a_fraction_of_the_first() {
    let settings = RelaySettings {
        max_nodes_per_address: usize::MAX,
        ..defaults()
    };
    let mut relay = relay(settings, Instant::now());
    for port in 1..=60_000 {
        time_of(&mut relay, &format!("REGISTER * {port}"));
    }
    let first = time_of(&mut relay, "LIST");
    let changed = (1..=5).map(|port| {
        time_of(&mut relay, &format!("UNREGISTER * {port}"));
        time_of(&mut relay, &format!("REGISTER * {port}"));
        time_of(&mut relay, "LIST")
    });
    let changed = changed.min().unwrap_or_default();
    assert!(
        changed * 3 < first,
        "{first:?} first, {changed:?} after a change"
    );
}

#[test]
fn a_name_with_more_contents_than_a_batch_does_not_hide_later_names() {
    let mut stage = relay_with_operator();
    ask(
        &mut stage,
        1,
        "REGISTER 192.0.2.1 1\nSHARE 0 - a\nSHARE 0 - c\n",
    );
    for node in 0..1500 {
        let [_, _, c, d] = u32::to_be_bytes(node);
        let lines = format!("REGISTER 10.0.{c}.{d} 1\nSHARE {node} - b\n");
        ask(&mut stage, 1, &lines);
    }
    let pages = ["SEARCH\n", "MORE\n", "MORE\n", "MORE\n"].map(|line| ask(&mut stage, 1, line));
    let heads = pages.map(|page| page.lines().next().map(str::to_owned));
    let expected = [1, 1000, 1, 0].map(|shown| Some(format!("1 < FILES {shown} 1502")));
    assert_eq!(heads, expected);
}

#[test]
fn a_search_in_steps_lists_a_lasting_name_exactly_once_while_others_change() {
    let names = 100_000;
    let name = |number: u32| format!("{number:07}");
    let share = |number: u32| format!("SHARE 1 - {}\n", name(number));
    let mut stage = relay_with_operator();
    stage
        .connect(2, IpAddr::from([127, 0, 0, 1]))
        .expect("a new number");
    ask(&mut stage, 1, "REGISTER 192.0.2.1 1\n");
    let shares: String = (0..names).map(|number| share(number * 10)).collect();
    ask(&mut stage, 1, &shares);
    stage.advance(Duration::from_millis(1));
    stage.arrive(2, b"SEARCH 5\n").expect("it is connected");
    assert_eq!(
        stage.take_text(),
        "",
        "{names} names are scanned in one step"
    );
    // Before, behind and at the position of the search.
    let changes = (0..names * 10)
        .step_by(7_001)
        .filter(|number| number % 10 != 5);
    let changes: String = changes
        .map(|number| match number % 10 {
            0 => format!("UNSHARE {}\n", name(number)),
            _ => share(number),
        })
        .collect();
    stage
        .arrive(1, changes.as_bytes())
        .expect("it is connected");
    stage.take_text();
    stage.advance(Duration::ZERO);
    let found = stage.take_text();
    let stays = |number: &u32| !number.is_multiple_of(7_001) && name(*number).contains('5');
    let lasting = (0..names).map(|number| number * 10).filter(stays);
    for number in lasting.take(500) {
        let line = format!("2 < 1 - 1 {}\n", name(number));
        assert_eq!(found.matches(&line).count(), 1, "{number}");
    }
}

#[test]
fn no_character_makes_a_search_expensive() {
    let mut stage = relay_with_operator();
    ask(&mut stage, 1, "REGISTER 192.0.2.1 1\n");
    // The ligature U+FDFA stands for eighteen characters.
    let [plain, ligature] = ["\u{6f22}", "\u{fdfa}"].map(|character| {
        let name = character.repeat(340);
        shortest(|| {
            let lines = format!("SHARE 1 - {name}\nUNSHARE {name}\nSEARCH {name}\n");
            ask(&mut stage, 1, &lines.repeat(10));
        })
    });
    assert!(
        ligature < 5 * plain,
        "{plain:?}, {ligature:?} with ligatures"
    );
}

#[test]
fn a_glob_costs_what_its_names_may_cost() {
    let names = 50;
    let mut stage = relay_with_operator();
    stage.enable_http();
    ask(&mut stage, 1, "REGISTER 192.0.2.1 1\n");
    let shares: String = (0..names)
        .map(|number| format!("SHARE 1 - {}{number}\n", "ab".repeat(500)))
        .collect();
    ask(&mut stage, 1, &shares);
    stage
        .connect(2, IpAddr::from([127, 0, 0, 1]))
        .expect("a new number");
    // Behind each `a` of a name, the glob may begin.
    let glob = format!("*a{}", "%3F".repeat(254));
    let request = format!("GET /api/files?q={glob} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stage
        .arrive(2, request.as_bytes())
        .expect("it is connected");
    stage.advance(Duration::ZERO);
    let answer = stage.take_text();
    let steps = answer.matches("timer\n").count();
    assert!(steps >= names, "{names} names, {steps} steps: {answer}");
    assert!(answer.contains("200 OK"), "{answer}");
}

#[test]
fn files_of_a_departed_node_are_removed_in_short_turns() {
    // The longest turn of the removal of as many names.
    let longest_turn = |name: &dyn Fn(u32) -> String| {
        let mut stage = relay_with_operator();
        let shares: String = (0..4000)
            .map(|n| format!("SHARE 1 - {}\n", name(n)))
            .collect();
        ask(&mut stage, 1, &format!("REGISTER 192.0.2.1 1\n{shares}"));
        stage
            .arrive(1, b"UNREGISTER 192.0.2.1 1\n")
            .expect("it is connected");
        let mut longest = Duration::ZERO;
        while stage.role().has_work() {
            let began = processor_time();
            stage.call(Relay::on_timer);
            longest = longest.max(processor_time().saturating_sub(began));
        }
        longest
    };
    let short = longest_turn(&|n| format!("{n}"));
    for filler in ["\u{1f82}", "\u{390}", "e"] {
        let long = longest_turn(&|n| format!("{n:06}{}", filler.repeat(990 / filler.len())));
        // Folding takes much longer without optimisation.
        assert!(
            long < 20 * short,
            "{filler}: {long:?}, of short names {short:?}"
        );
    }
}
