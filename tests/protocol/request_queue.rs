//! The requests of one connection, and the responses to them in order.

use peerline::protocol::{
    ClaimedIp, Count, ErrorCode, FileName, Item, NodeItem, PieceValue, Port, Reply, Request,
};
use peerline::role::{Input, ReadNext};
use peerline::session::requests::{RequestQueue, ResponseError, ResponsePart};

fn unknown_item(line: &[u8]) -> ResponsePart<'_> {
    ResponsePart::Item(Item::Unknown(line))
}

/// A queue after these requests, whose tags count from 0.
fn queue_of(requests: &[Request<'_>]) -> RequestQueue<usize> {
    let mut queue = RequestQueue::new(10);
    let mut out = Vec::new();
    for (tag, request) in requests.iter().enumerate() {
        queue.send(request, tag, &mut out);
    }
    assert_eq!(
        out.iter().filter(|byte| **byte == b'\n').count(),
        queue.len()
    );
    queue
}

fn read<'a>(
    queue: &mut RequestQueue<usize>,
    line: &'a str,
) -> Result<Option<(ResponsePart<'a>, Option<usize>)>, ResponseError> {
    queue.on_input(Input::Line(line.as_bytes()))
}

fn response<'a>(
    queue: &mut RequestQueue<usize>,
    line: &'a str,
) -> (ResponsePart<'a>, Option<usize>) {
    match read(queue, line) {
        Ok(Some(response)) => response,
        other => panic!("{line}: {other:?}"),
    }
}

fn name(text: &str) -> FileName<'_> {
    FileName::parse(text).expect("a name")
}

#[test]
fn responses_belong_to_requests_in_order() {
    let ip = ClaimedIp::Address("10.0.0.1".parse().expect("valid"));
    let register = Request::Register(ip, Port::new(9000).expect("a port"));
    let mut queue = queue_of(&[register, Request::Unshare(name("a")), Request::Ping]);
    let ok = ResponsePart::Head(Reply::Ok("60 10.0.0.1 9000 0".into()));
    assert_eq!(response(&mut queue, "OK 60 10.0.0.1 9000 0"), (ok, Some(0)));
    let (part, tag) = response(&mut queue, "NOTFOUND");
    assert_eq!((part, tag), (ResponsePart::Head(Reply::NotFound), Some(1)));
    assert!(queue.tags().eq([&2]));
    // The next line answers `PING`.
    assert_eq!(read(&mut queue, "NOTFOUND"), Err(ResponseError::Unexpected));
    assert!(queue.take_tags().eq([2]));
    assert!(queue.is_empty());
}

#[test]
fn an_unknown_item_counts_and_is_skipped() {
    let mut queue = queue_of(&[Request::List, Request::Ping]);
    let head = ResponsePart::Head(Reply::Nodes(Count::all(3)));
    assert_eq!(response(&mut queue, "NODES 3"), (head, None));
    let node = NodeItem::parse("10.0.0.1 1").expect("valid");
    // Fields may have been added.
    let (part, tag) = response(&mut queue, "10.0.0.1 1 new-field");
    assert_eq!((part, tag), (ResponsePart::Item(Item::Node(node)), None));
    let onion = "abc.onion 1";
    let unknown = unknown_item(onion.as_bytes());
    assert_eq!(response(&mut queue, onion), (unknown, None));
    // Inside a list no line is a message.
    let text = "FROM 10.0.0.1 1 hi";
    let unknown = unknown_item(text.as_bytes());
    assert_eq!(response(&mut queue, text), (unknown, Some(0)));
    let pong = ResponsePart::Head(Reply::Pong);
    assert_eq!(response(&mut queue, "PONG"), (pong, Some(1)));
}

#[test]
fn items_of_files_and_holders_are_read() {
    let mut queue = queue_of(&[Request::Search("a"), Request::Find(name("a b"))]);
    response(&mut queue, "FILES 1 7");
    let (part, tag) = response(&mut queue, "3 - 2 a b");
    assert!(matches!(part, ResponsePart::Item(Item::File(file)) if file.name == name("a b")));
    assert_eq!(tag, Some(0));
    response(&mut queue, "HOLDERS 1");
    let (part, tag) = response(&mut queue, "10.0.0.1 1 3 -");
    assert!(matches!(part, ResponsePart::Item(Item::Holder(holder)) if holder.size == 3));
    assert_eq!(tag, Some(1));
}

#[test]
fn a_list_has_a_limit() {
    let mut queue = queue_of(&[Request::List]);
    let too_many = Err(ResponseError::TooManyItems(11));
    assert_eq!(read(&mut queue, "NODES 11"), too_many);
    let mut queue = queue_of(&[Request::More]);
    let too_many = Err(ResponseError::AboveProtocolLimit(1001));
    assert_eq!(read(&mut queue, "FILES 1001 5000"), too_many);
    // An empty list is complete with its first line.
    assert_eq!(response(&mut queue, "FILES 0 5000").1, Some(0));
}

#[test]
fn a_body_comes_in_chunks() {
    let mut queue = queue_of(&[Request::Get(name("a")), Request::Get(name("b"))]);
    response(&mut queue, "FOUND 5");
    assert!(matches!(queue.read_next(), ReadNext::Body(5)));
    let chunk = |bytes, tag| Ok(Some((ResponsePart::Body(bytes), tag)));
    assert_eq!(queue.on_input(Input::Body(b"FRO")), chunk(b"FRO", None));
    assert!(matches!(queue.read_next(), ReadNext::Body(2)));
    assert_eq!(queue.on_input(Input::Body(b"M ")), chunk(b"M ", Some(0)));
    assert!(matches!(queue.read_next(), ReadNext::Line));
    assert_eq!(response(&mut queue, "FOUND 0").1, Some(1));
    let late = queue.on_input(Input::Body(b"x"));
    assert_eq!(late, Err(ResponseError::Unexpected));
}

#[test]
fn messages_and_errors_may_come_unasked() {
    let mut queue = queue_of(&[Request::Listen]);
    let message = read(&mut queue, "FROM 10.0.0.1 1 hi").expect("valid");
    assert!(matches!(message, Some((ResponsePart::Message(_), None))));
    let line = "FROM abc.onion 1 hi";
    let unreadable = (ResponsePart::UnreadableMessage(line.as_bytes()), None);
    assert_eq!(read(&mut queue, line), Ok(Some(unreadable)));
    assert_eq!(response(&mut queue, "OK 10.0.0.2 2").1, Some(0));
    let error = Reply::Error(ErrorCode::CHANGED, "replaced".into());
    let replaced = (ResponsePart::Head(error), None);
    assert_eq!(read(&mut queue, "ERROR 409 replaced"), Ok(Some(replaced)));
    assert_eq!(read(&mut queue, "OK"), Err(ResponseError::Unexpected));
    assert_eq!(read(&mut queue, "what?"), Err(ResponseError::Unreadable));
}

#[test]
fn a_list_of_pieces_has_at_most_16384_items() {
    let hash = "1".repeat(64);
    let request = || Request::Pieces(name("a"));
    let mut queue = queue_of(&[request()]);
    let head = format!("PIECES 16384 1048576 {hash}");
    assert!(matches!(
        read(&mut queue, &head),
        Ok(Some((ResponsePart::Head(_), None)))
    ));
    for left in (0..16_384).rev() {
        let (part, tag) = read(&mut queue, &hash).expect("valid").expect("an item");
        assert_eq!(
            part,
            ResponsePart::Item(Item::Piece(PieceValue([0x11; 32])))
        );
        assert_eq!(tag.is_some(), left == 0);
    }
    let mut queue = queue_of(&[request()]);
    let head = format!("PIECES 16385 1048576 {hash}");
    assert_eq!(
        read(&mut queue, &head),
        Err(ResponseError::AboveProtocolLimit(16_385))
    );
}
