//! Who adds much has to wait, or is left to others; nobody else notices.

use ed25519_dalek::SigningKey;
use ggen_shared::id::{KeyCommitment, Network, PublicKey};
use ggen_shared::record::{Artifact, Inception, Release, Verified, Work as ProofOfWork, sign};
use ggen_shared::rules::{Rules, Schedule};
use serde_bytes::ByteBuf;

use super::*;
use crate::store::Store;

fn network() -> Network {
    Network::named("test").unwrap()
}

/// A relay's work without a network: what it tells is read by nobody.
fn work(directory: &std::path::Path) -> (Arc<Work>, mpsc::Receiver<Command>) {
    work_in(directory, network())
}

fn work_in(directory: &std::path::Path, network: Network) -> (Arc<Work>, mpsc::Receiver<Command>) {
    let shelf = Arc::new(Shelf::open(Store::open(directory).unwrap(), network.clone(), Rules::FIRST).unwrap().0);
    let (commands, inbox) = mpsc::channel(policy::COMMANDS);
    let evidence = Kept::read(directory, network, Schedule::default(), &[]);
    let reputations = reputations::Kept::read(directory, Duration::ZERO);
    (Arc::new(Work::new(shelf.clone(), evidence, reputations, Box::new(shelf), commands)), inbox)
}

fn inception() -> Inception {
    let public = |seed: u8| PublicKey::from_bytes(SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes());
    let next = KeyCommitment::to_key(&public(2));
    Inception { handle: "one".parse().unwrap(), key: public(1), next, work: ProofOfWork::NONE }
}

/// A publisher, and releases of packages named by number.
fn publisher() -> (KeyLog, impl Fn(u32) -> Verified<Release>) {
    let signing = SigningKey::from_bytes(&[1; 32]);
    let key_log = KeyLog::new(sign(inception(), &signing, &network()).unwrap());
    let (publisher, signed_under) = (key_log.publisher(), key_log.head());
    let release = move |index: u32| {
        let release = Release {
            publisher,
            signed_under,
            index,
            name: format!("package-{index}").parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            artifact: Artifact { cid: ContentId::of_raw(b""), size: 0 },
            title: None,
            description: String::new(),
            readme: None,
            categories: Vec::new(),
            tags: Vec::new(),
            license: None,
            authors: Vec::new(),
            homepage: None,
            repository: None,
            documentation: None,
            dependencies: Vec::new(),
            created: 0,
        };
        sign(release, &signing, &network()).unwrap()
    };
    (key_log, release)
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), wait).await.expect(what);
}

fn put(work: &Arc<Work>, source: PeerId, key_log: &KeyLog, release: &Verified<Release>) {
    let value = head::encode(key_log, release).unwrap();
    work.clone().head_put(source, head::key(&release.package()), value);
}

#[tokio::test]
async fn who_puts_too_many_heads_is_left_to_others_and_others_are_heard() {
    let directory = tempfile::tempdir().unwrap();
    let (work, _inbox) = work(directory.path());
    let ((key_log, release), [busy, other]) = (publisher(), [PeerId::random(), PeerId::random()]);
    let here = |release: &Verified<Release>| work.shelf().catalogue().record(&release.id()).is_some();
    put(&work, busy, &key_log, &release(0));
    until("the first head", || here(&release(0))).await;
    let share = work.peers().of(busy);
    share.spend_heads(2 * policy::HEADS.burst as usize);
    put(&work, busy, &key_log, &release(1));
    put(&work, other, &key_log, &release(2));
    until("another peer's head", || here(&release(2))).await;
    assert!(!here(&release(1)));
    assert_eq!(share.verifying_heads.available_permits(), policy::MAX_VERIFYING_HEADS_PER_PEER, "it was not looked at");
}

#[tokio::test]
async fn a_relay_that_sends_an_identity_without_its_work_is_at_fault_and_nothing_of_it_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (work, _inbox) = work_in(directory.path(), Network::main());
    let claimed = ProofOfWork { level: ProofOfWork::MIN_LEVEL, nonce: 0 };
    for claim in [ProofOfWork::NONE, claimed] {
        let inception = Inception { work: claim, ..inception() };
        let (kind, payload) = (Kind::Inception, codec::encode(&inception));
        let message = kind.signed_message(&Network::main(), &kind.id_of(&payload));
        let signature = ed25519_dalek::Signer::sign(&SigningKey::from_bytes(&[1; 32]), &message).to_bytes();
        let record = record::Envelope { kind: kind.number().into(), payload, signature }.encode().unwrap().to_vec();
        let ended = work.keep_synced(PeerId::random(), vec![ByteBuf::from(record)]).await;
        assert!(matches!(ended, Err(super::super::sync::Error::Record(record::Error::WrongWork))), "{ended:?}");
    }
    assert_eq!(work.shelf().catalogue().record_count(), 0);
}

#[tokio::test]
async fn a_relay_that_sends_records_without_end_has_its_turn_later_and_what_it_sent_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (work, _inbox) = work(directory.path());
    let ((key_log, release), [busy, other]) = (publisher(), [PeerId::random(), PeerId::random()]);
    let records = |index: u32| -> Vec<ByteBuf> {
        let events = key_log.events().map(|event| event.to_vec());
        events.chain([release(index).bytes().to_vec()]).map(ByteBuf::from).collect()
    };
    let here = |index: u32| work.shelf().catalogue().record(&release(index).id()).is_some();
    assert_eq!(work.keep_synced(busy, records(0)).await.unwrap(), 2, "an inception and a release");
    let owed = Duration::from_secs(3);
    let more = policy::SYNCED_RECORDS.per_second as usize * 3;
    work.peers().of(busy).spend_synced(policy::SYNCED_RECORDS.burst as usize + more);
    let ended = work.keep_synced(busy, records(1)).await;
    assert!(matches!(ended, Err(super::super::sync::Error::TooMuch(pause)) if pause > owed / 2), "{ended:?}");
    assert!(here(1), "what was delivered stays");
    assert_eq!(work.keep_synced(other, records(2)).await.unwrap(), 1, "another relay has nothing to make up for");
}
