//! Requests of strangers that could hold up everybody else: each must cost little, however
//! much is registered and shared.

use std::net::IpAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use peerline::relay::{Relay, RelaySettings};
use peerline::role::Role;

use crate::defaults::defaults;
use crate::relay::stage;
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
        let began = Instant::now();
        attempt();
        began.elapsed()
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
    // Each request lists a thousand contents in both cases.
    let time_requests = |stage: &mut Stage<Relay>| {
        ["SEARCH same\n", "FIND same\n", "SHARE 1 - same\n"].map(|line| {
            shortest(|| {
                ask(stage, 1, &line.repeat(10));
            })
        })
    };
    share(&mut stage, 0..1_000);
    let few = time_requests(&mut stage);
    share(&mut stage, 1_000..20_000);
    let many = time_requests(&mut stage);
    for (few, many) in few.into_iter().zip(many) {
        let max = 5 * few + Duration::from_millis(1);
        assert!(many < max, "{few:?} with 1,000, {many:?} with 20,000");
    }
}

#[test]
fn a_search_page_is_bounded_in_bytes() {
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
        assert!(page.len() < 128 * 1024 + 4 * 1001, "{} bytes", page.len());
    }
    let listed: Vec<&str> = pages
        .iter()
        .flat_map(|page| page.lines().skip(1))
        .map(|line| line.rsplit(' ').next().unwrap_or_default())
        .collect();
    assert_eq!(listed, (0..500).map(name).collect::<Vec<_>>());
}
