//! Makes the vectors of messages: each type, each optional field there and not.

use std::fmt::Debug;

use ggen_shared::codec;
use ggen_shared::id::{FullName, PublisherId, RecordId};
use ggen_shared::protocol::publish::{Offer, Receipt, ReceiptReply, Wanted, WantedReply};
use ggen_shared::protocol::query::{
    Ask, Evidence, KeyLogAnswer, KeyLogOf, Package, PackageAnswer, Question, RangeOf, Records, RecordsAnswer, Refusal,
    Reply, Search, SearchAnswer, Show,
};
use ggen_shared::record::ContentId;
use ggen_shared::rules::Rules;
use serde::Serialize;
use serde_bytes::ByteBuf;
use serde_json::{Value, json};

fn message<T: Serialize + Debug>(is: &str, message: &T) -> Value {
    json!({ "is": is, "shows": format!("{message:?}"), "bytes": super::make::hex(codec::encode(message)) })
}

fn ask(question: impl Question) -> Value {
    message("ask", &Ask { window: 8192, rules: Rules::FIRST.number, request: question.into_request() })
}

fn replies<A: Serialize + Debug>(is: &str, answers: Vec<A>) -> Vec<Value> {
    answers.into_iter().map(|answer| message::<Reply<A>>(is, &Ok(answer))).collect()
}

fn bytes(byte: u8) -> ByteBuf {
    ByteBuf::from(vec![byte; 3])
}

pub(crate) fn messages() -> Value {
    let all = [asks(), answers(), publishing()].concat();
    json!({ "about": super::make::ABOUT, "messages": all })
}

fn asks() -> Vec<Value> {
    let publisher = PublisherId::from_bytes([7; 32]);
    let name = |handle: Option<&str>| FullName {
        handle: handle.map(|handle| handle.parse().unwrap()),
        fingerprint: publisher.fingerprint(),
        name: "pack".parse().unwrap(),
    };
    let by_others = Ask { window: 8192, rules: 2, request: RangeOf::first(b"n/", 0).into_request() };
    vec![
        ask(Search { text: String::new(), limit: 20, cursor: None, ..Search::default() }),
        ask(Search { text: "größe 数据库".into(), limit: u16::MAX, cursor: Some(bytes(1)), ..Search::default() }),
        message("ask", &by_others),
        ask(Package { name: name(None), version: None }),
        ask(Package { name: name(Some("ggen")), version: Some("1.0.0-rc.1".parse().unwrap()) }),
        ask(RangeOf::first(b"n/", 0)),
        ask(RangeOf { after: Some(bytes(1)), ..RangeOf::first(b"", 256) }),
        ask(RangeOf { bits: Some(11), show: Show::Levels(4), ..RangeOf::first(b"a\x80", 0) }),
        ask(Records { ids: vec![] }),
        ask(Records { ids: vec![RecordId::from_bytes([1; 32]), RecordId::from_bytes([2; 32])] }),
        ask(KeyLogOf { publisher }),
    ]
}

fn answers() -> Vec<Value> {
    let proven = Evidence { checkpoint: bytes(8), proof: bytes(9) };
    let nothing = SearchAnswer {
        walk: 0,
        releases: vec![],
        recent: vec![],
        statuses: vec![],
        key_logs: vec![],
        evidence: None,
        suggestions: vec![],
    };
    let search = SearchAnswer {
        walk: 7,
        releases: vec![bytes(1), bytes(2)],
        recent: vec![bytes(5)],
        statuses: vec![],
        key_logs: vec![vec![bytes(3)], vec![bytes(4)]],
        evidence: Some(proven.clone()),
        suggestions: vec![],
    };
    let little = SearchAnswer { releases: vec![], suggestions: vec!["serde json".into()], ..search.clone() };
    let withdrawn = SearchAnswer { statuses: vec![bytes(6), bytes(7)], ..search.clone() };
    let unknown = PackageAnswer { releases: vec![], recent: vec![], statuses: vec![], key_log: vec![], evidence: None };
    let package = PackageAnswer {
        releases: vec![bytes(1)],
        recent: vec![bytes(3)],
        statuses: vec![bytes(4)],
        key_log: vec![bytes(2)],
        evidence: Some(proven.clone()),
    };
    let refusal: Reply<KeyLogAnswer> = Err(Refusal::new("query/too-long", "Too long: 300 bytes."));
    [
        replies("search reply", vec![nothing, search, little, withdrawn]),
        replies("package reply", vec![unknown, package]),
        replies("range reply", vec![proven]),
        replies("records reply", vec![RecordsAnswer { records: vec![None, Some(bytes(1))] }]),
        replies("key log reply", vec![KeyLogAnswer { events: vec![] }, KeyLogAnswer { events: vec![bytes(1)] }]),
        vec![message("key log reply", &refusal)],
    ]
    .concat()
}

fn publishing() -> Vec<Value> {
    let (cid, id) = (ContentId::of_dag_pb(b"node"), RecordId::from_bytes([1; 32]));
    let wanted: WantedReply = Ok(Wanted { blocks: vec![cid] });
    let receipt: ReceiptReply = Ok(Receipt { kept: vec![id], new: vec![] });
    let refused: ReceiptReply = Err(Refusal::new("publish/incomplete", "A block is missing."));
    vec![
        message("offer", &Offer { records: vec![bytes(1)], blocks: vec![cid] }),
        message("wanted reply", &wanted),
        message("receipt reply", &receipt),
        message("receipt reply", &refused),
    ]
}
