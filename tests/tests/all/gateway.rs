//! Blocks and packages over plain HTTP, for those who verify them.

use std::net::SocketAddr;

use data_encoding::BASE64;
use ggen_shared::codec;
use ggen_shared::content::{self, Assembler, Dag};
use ggen_shared::limits::{CHUNK_BYTES, MAX_ANSWER_BYTES};
use ggen_shared::protocol::query::{self, PackageAnswer};
use ggen_shared::record::{ContentId, State};
use ggen_shared::rules::Rules;
use ggen_shared::search::verified::{Asked, verify_package};
use ggen_shared::varint;
use ggen_tests::http::{Answer, get, get_with};
use ggen_tests::{EPOCH, Package, Publisher, TestRelay, network, offer_to};

async fn relay_with(package: &Package) -> (TestRelay, SocketAddr) {
    let relay = TestRelay::configured(|config| config.http = Some(SocketAddr::from(([127, 0, 0, 1], 0)))).await;
    package.publish_at(&relay).await;
    let http = relay.relay().http().unwrap();
    (relay, http)
}

/// Content of several blocks, no two of them alike.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from((at / 251 + at) % 256).unwrap()).collect()
}

/// The root and the blocks of an archive.
fn archive(answer: &Answer) -> (Vec<u8>, Vec<(ContentId, Vec<u8>)>) {
    let mut rest = &answer.body[..];
    let mut section = || {
        let length = usize::try_from(varint::take(&mut rest).ok()?).unwrap();
        let (section, behind) = rest.split_at(length);
        rest = behind;
        Some(section.to_vec())
    };
    let header = section().unwrap();
    let mut blocks = Vec::new();
    while let Some(section) = section() {
        // A CIDv1 of SHA-256 in bytes.
        let (cid, data) = section.split_at(36);
        let cid: ContentId = ContentId::try_from(cid::Cid::try_from(cid).unwrap()).unwrap();
        assert!(cid.matches(data), "the bytes of {cid}");
        blocks.push((cid, data.to_vec()));
    }
    (header, blocks)
}

fn assembled(dag: &Dag, blocks: &[(ContentId, Vec<u8>)]) -> Vec<u8> {
    let mut assembler = Assembler::new(dag.content()).unwrap();
    for (cid, data) in blocks {
        assembler.feed(cid, data).unwrap();
    }
    assembler.into_bytes().unwrap()
}

#[tokio::test]
async fn a_block_is_served_as_it_is_and_for_ever() {
    let package = Publisher::new(71).release("small", "1.0.0", "one block", b"a small artifact");
    let (_relay, http) = relay_with(&package).await;
    let cid = package.artifact.root;
    let path = format!("/ipfs/{cid}?format=raw");
    let answer = get(http, &path).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"a small artifact"[..]));
    assert_eq!(answer.header("content-type"), Some("application/vnd.ipld.raw"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=29030400, immutable"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{cid}.raw\""));
    let again = get_with(http, &path, &[("if-none-match", &format!("W/{tag}, \"other\""))]).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    // As fetch and curl ask for it.
    let accepted = [("accept", "application/vnd.ipld.raw;q=0.9")];
    assert_eq!(get_with(http, &format!("/ipfs/{cid}"), &accepted).await.body, b"a small artifact");

    let part = get_with(http, &path, &[("range", "bytes=2-6")]).await;
    assert_eq!((part.status, part.text()), (206, "small"));
    assert_eq!(part.header("content-range"), Some("bytes 2-6/16"));
    assert_eq!(get_with(http, &path, &[("range", "bytes=16-")]).await.status, 416);
}

#[tokio::test]
async fn what_is_not_there_or_not_served_has_its_own_answer() {
    let package = Publisher::new(72).release("small", "1.0.0", "one block", b"a small artifact");
    let (_relay, http) = relay_with(&package).await;
    let status = async |path: &str| get(http, path).await.status;
    let elsewhere = content::build(b"nobody published this").root;
    assert_eq!(status(&format!("/ipfs/{elsewhere}?format=raw")).await, 404);
    // Version 0, an unknown codec, an unknown hash, no CID at all.
    for cid in [
        "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
        "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
        "bafkreia",
        "..%2f..%2fetc%2fpasswd",
    ] {
        assert_eq!(status(&format!("/ipfs/{cid}?format=raw")).await, 400, "{cid}");
    }
    let there = package.artifact.root;
    assert_eq!(status(&format!("/ipfs/{there}")).await, 406);
    assert_eq!(status(&format!("/ipfs/{there}?format=tar")).await, 406);
    assert_eq!(status(&format!("/ipfs/{there}?format=car&entity-bytes=x")).await, 400);
    assert_eq!(status(&format!("/ipfs/{there}?format=car&dag-scope=galaxy")).await, 400);
}

#[tokio::test]
async fn an_archive_holds_a_file_or_the_part_of_it_that_was_asked_for() {
    let bytes = content(5 * CHUNK_BYTES + 17);
    let package = Publisher::new(73).release("large", "1.0.0", "some blocks", &bytes);
    let (_relay, http) = relay_with(&package).await;
    let root = package.artifact.root;
    let car = async |more: &str| get(http, &format!("/ipfs/{root}?format=car{more}")).await;

    let whole = car("").await;
    assert_eq!(whole.status, 200);
    assert_eq!(whole.header("content-type"), Some("application/vnd.ipld.car; version=1; order=dfs; dups=y"));
    let (header, blocks) = archive(&whole);
    assert_eq!(&header[..8], b"\xa2\x65roots\x81", "dag-cbor of a map whose roots come first");
    assert_eq!((blocks.len(), blocks[0].0), (7, root));
    assert_eq!(assembled(&package.artifact, &blocks), bytes);
    assert_eq!(archive(&car("&dag-scope=block").await).1.len(), 1);

    let second = format!("&dag-scope=entity&entity-bytes={}:{}", CHUNK_BYTES, CHUNK_BYTES + 1);
    let (_, part) = archive(&car(&second).await);
    assert_eq!(part.len(), 2, "the root and the block that holds these bytes");
    assert_eq!(part[1].1, bytes[CHUNK_BYTES..2 * CHUNK_BYTES]);
    let end = format!("&entity-bytes={}:*", 4 * CHUNK_BYTES);
    assert_eq!(archive(&car(&end).await).1.len(), 3);
}

#[tokio::test]
async fn packages_are_shown_as_json_with_the_answer_that_proves_it() {
    let mut publisher = Publisher::new(74);
    let package = publisher.release("kettle", "1.0.0", "boils water", b"first");
    let (relay, http) = relay_with(&package).await;
    publisher.release("kettle", "1.1.0", "boils water", b"second").publish_at(&relay).await;
    offer_to(&relay, &publisher.status("kettle", "1.0.0", 1, State::Yanked)).await;

    let fingerprint = publisher.key_log.publisher().fingerprint();
    let path = format!("/api/v1/packages/publisher-74~{fingerprint}/kettle");
    let shown = get(http, &path).await;
    assert_eq!((shown.status, shown.header("access-control-allow-origin")), (200, Some("*")));
    let shown = shown.json();
    assert_eq!((&shown["version"], &shown["state"]), (&"1.1.0".into(), &"active".into()));
    assert_eq!(shown["versions"][1]["state"], "yanked");
    assert_eq!(get(http, &format!("{path}/1.0.0")).await.json()["state"], "yanked");

    // What a client that trusts nobody makes of it.
    let answer = BASE64.decode(shown["answer"].as_str().unwrap().as_bytes()).unwrap();
    let answer: PackageAnswer = codec::read(&answer, MAX_ANSWER_BYTES).unwrap();
    let key = ggen_net::address::key_of(&shown["relay"].as_str().unwrap().parse().unwrap()).unwrap();
    let name = shown["full_name"].as_str().unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let epoch = now.as_secs() / EPOCH.as_secs();
    let asked = Asked { network: &network(), relay: &key, epoch, rules: Rules::FIRST };
    let package = verify_package(&query::Package { name, version: None }, answer, &asked).unwrap().unwrap();
    assert_eq!(package.head().unwrap().version.to_string(), "1.1.0");

    let found = get(http, "/api/v1/packages?q=boils+water").await.json();
    assert_eq!((&found["total"], &found["hits"][0]["name"]), (&1.into(), &"kettle".into()));
    let code = async |path: &str| {
        let answer = get(http, path).await;
        (answer.status, answer.json()["error"]["code"].as_str().unwrap().to_owned())
    };
    assert_eq!(code(&path.replace("kettle", "nothing")).await, (404, "package/not-found".into()));
    assert_eq!(code(&format!("{path}/9.9.9")).await, (404, "version/not-found".into()));
    assert_eq!(code(&format!("{path}/not-a-version")).await, (400, "name/invalid".into()));
    assert_eq!(code("/api/v1/packages/Not%20a%20Name/x").await, (400, "name/invalid".into()));
    assert_eq!(code(&format!("/api/v1/packages?q={}", "a".repeat(300))).await, (400, "query/too-long".into()));
    assert_eq!(code("/api/v1/packages?q=a&cursor=%21").await, (400, "query/bad-cursor".into()));
}
