//! Keys as somebody at a terminal has them: encrypted, with the next key apart, and moved to another machine.

use ggen_tests::TestRelay;
use ggen_tests::terminal::Terminal;

const NEW: [&str; 6] = ["key", "new", "--handle", "alice", "--network", "test"];

#[tokio::test]
async fn a_key_is_encrypted_unless_its_owner_says_otherwise() {
    let terminal = Terminal::without_key(&[]);
    let next = terminal.next_key(1);
    let new = [&NEW[..], &["--next-key", &next]].concat();
    let nowhere = terminal.run(&NEW).await;
    assert_eq!(nowhere.code, 2, "{nowhere:?}");
    assert!(nowhere.err.contains("--next-key <FILE>"), "the place of the next key has no default: {nowhere:?}");
    let unasked = terminal.run(&new).await;
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert!(unasked.err.contains("--passphrase-file") && unasked.err.contains("--no-passphrase"), "{unasked:?}");
    let beside = terminal.config().join("next").display().to_string();
    let beside = terminal.run(&[&NEW[..], &["--no-passphrase", "--next-key", &beside]].concat()).await;
    assert_eq!(beside.code, 2, "{beside:?}");
    assert!(beside.err.contains("whoever takes the one takes the other"), "{beside:?}");

    let terminal = terminal.with("GGEN_PASSPHRASE", "letmein");
    let made = terminal.run(&new).await;
    assert_eq!(made.code, 0, "{made:?}");
    let file = std::fs::read_to_string(terminal.config().join("market.key")).unwrap();
    assert!(file.contains("BEGIN AGE ENCRYPTED FILE"), "{file}");
}

#[tokio::test]
async fn an_encrypted_key_signs_with_its_passphrase_only_and_rotates_with_it() {
    let relay = TestRelay::start(&[]).await;
    let terminal = Terminal::without_key(&[&relay]);
    let word = terminal.home.path().join("word");
    std::fs::write(&word, "letmein\n").unwrap();
    let (word, next) = (word.display().to_string(), terminal.next_key(1));
    let made = terminal.run(&[&NEW[..], &["--next-key", &next, "--passphrase-file", &word]].concat()).await;
    assert_eq!(made.code, 0, "{made:?}");
    let package = terminal.package("my-thing", "0.1.0");
    let without = terminal.with_relays(&["publish", &package]).await;
    assert_eq!(without.code, 2, "{without:?}");
    assert!(without.err.contains("the key is encrypted: give its passphrase with"), "{without:?}");
    let shown = terminal.run(&["key", "show"]).await;
    assert_eq!(shown.out, made.out, "whose it is, is no secret");
    let published = terminal.with_relays(&["publish", &package, "--passphrase-file", &word]).await;
    assert_eq!(published.code, 0, "{published:?}");
    let rotated = terminal.rotate(1, &["--passphrase-file", &word]).await;
    assert_eq!(rotated.code, 0, "{rotated:?}");

    let terminal = terminal.with("GGEN_PASSPHRASE", "letmeout");
    let wrong = terminal.with_relays(&["publish", &package]).await;
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.err.contains("market.key: the passphrase is wrong"), "{wrong:?}");
}

#[tokio::test]
async fn a_key_goes_to_another_machine_and_goes_on_where_it_was() {
    let relay = TestRelay::start(&[]).await;
    let here = Terminal::of(&[&relay]).await;
    here.published("my-thing", "0.1.0").await;
    let file = here.home.path().join("alice.age").display().to_string();
    let open = here.run(&["key", "export", "--to", &file]).await;
    assert_eq!(open.code, 2, "an export is always encrypted: {open:?}");
    let here = here.with("GGEN_PASSPHRASE", "on the way");
    let exported = here.run(&["key", "export", "--to", &file]).await;
    assert_eq!(exported.code, 0, "{exported:?}");
    assert_eq!(here.run(&["key", "export", "--to", &file]).await.code, 2, "nothing is overwritten");

    let there = Terminal::without_key(&[&relay]);
    let wrong = there.with("GGEN_PASSPHRASE", "wrong");
    assert_eq!(wrong.run(&["key", "import", &file]).await.code, 2);
    let there = wrong.with("GGEN_PASSPHRASE", "on the way");
    let imported = there.run(&["key", "import", &file]).await;
    assert_eq!(imported.code, 0, "{imported:?}");
    assert_eq!(there.run(&["key", "import", &file]).await.code, 2, "a key is never overwritten");
    there.published("my-thing", "0.2.0").await;
    let same = there.with_relays(&["publish", &there.package("my-thing", "0.1.0")]).await;
    assert!(same.code == 0 && same.out.starts_with("already my-thing 0.1.0 "), "{same:?}");
}

#[tokio::test]
async fn a_key_of_everybodys_network_proves_its_work_and_can_sign_so_much() {
    let terminal = Terminal::without_key(&[]);
    let next = terminal.next_key(1);
    let new = ["key", "new", "--handle", "alice", "--no-passphrase", "--next-key", &next, "--quota", "1024"];
    let elsewhere = terminal.run(&[&new[..], &["--network", "test"]].concat()).await;
    assert!(elsewhere.code == 2 && elsewhere.err.contains("--quota is for everybody's network"), "{elsewhere:?}");
    let odd = terminal.run(&[&new[..8], &["1000"]].concat()).await;
    assert!(odd.code == 2 && odd.err.contains("1024, 2048, 4096, 8192, 16384"), "{odd:?}");
    let made = terminal.run(&new).await;
    assert_eq!(made.code, 0, "{made:?}");
    // The key file is verified like what a peer sends.
    let status = terminal.run(&["status"]).await;
    assert!(status.out.contains("0 of 1024 indices are used"), "{status:?}");
}
