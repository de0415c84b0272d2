use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use super::*;
use crate::catalogue::testing::Publisher;

fn words(text: &str) -> Vec<String> {
    tokens(text).iter().map(|token| token.as_str().to_owned()).collect()
}

fn sought(text: &str) -> Vec<String> {
    wholes(text).iter().map(|token| token.as_str().to_owned()).collect()
}

#[test]
fn a_name_gives_its_parts_and_the_whole() {
    assert_eq!(words("serde_json"), ["serde", "json", "serdejson"]);
    assert_eq!(words("tower-http"), ["tower", "http", "towerhttp"]);
    assert_eq!(words("HTTPServer"), ["http", "server", "httpserver"]);
    assert_eq!(words("parseHTTP2Frame"), ["parse", "http2", "frame", "parsehttp2frame"]);
    assert_eq!(words("base64"), ["base64"]);
    assert_eq!(words("node.js"), ["node", "js", "nodejs"]);
    assert_eq!(words("I/O"), ["i", "o", "io"]);
}

#[test]
fn a_query_looks_for_names_as_wholes() {
    assert_eq!(sought("serde_json Serde-Json serdeJson"), ["serdejson"; 3]);
    assert_eq!(sought("tokio-rs::runtime I/O"), ["tokior", "runtime", "io"]);
    assert_eq!(sought("serde_"), ["serde"]);
}

#[test]
fn names_end_where_more_than_a_connector_stands() {
    assert_eq!(words("end. Next"), ["end", "next"]);
    assert_eq!(words("web::http-server"), ["web", "http", "server", "httpserver"]);
    assert_eq!(words("a---b, c--d"), ["a", "b", "c", "d", "cd"]);
    assert_eq!(words("-x_"), ["x"]);
}

#[test]
fn plus_and_hash_belong_to_the_end_of_a_word() {
    assert_eq!(words("C++ and C#, libstdc++-dev"), ["c++", "and", "c#", "libstdc++", "dev"]);
    assert_eq!(words("a+b c+++ ++ #tag"), ["a", "b", "c", "tag"]);
}

#[test]
fn case_and_form_are_folded() {
    assert_eq!(words("ＦＵＬＬ ﬁle Straße ΣΊΣΥΦΟΣ"), ["full", "file", "strasse", "σίσυφοσ"]);
    assert_eq!(words("e\u{301}tude"), words("ÉTUDE"));
    assert_eq!(words("soft\u{ad}ware zero\u{200b}width"), ["software", "zerowidth"]);
}

#[test]
fn words_of_any_script_are_kept_with_their_marks() {
    assert_eq!(words("नमस्ते दुनिया"), ["नमस्ते", "दुनिया"]);
    assert_eq!(words("שלום، عالم"), ["שלום", "عالم"]);
    assert_eq!(words("数据库"), ["数据库"]);
    assert_eq!(words("\u{301}\u{301}"), [""; 0]);
}

#[test]
fn a_long_word_is_cut_at_the_end_of_a_character() {
    let long = "é".repeat(1000);
    assert_eq!(words(&long), ["é".repeat(MAX_TOKEN_BYTES / 2)]);
    assert_eq!(sought(&long), words(&long));
    assert_eq!(words(&format!("x{long}")), [format!("x{}", "é".repeat(MAX_TOKEN_BYTES / 2 - 1))]);
}

#[test]
fn the_unicode_tables_are_those_of_the_rules() {
    assert_eq!(unicode_normalization::UNICODE_VERSION, NFKC_TABLES);
    assert_eq!(char::UNICODE_VERSION, CASE_TABLES);
}

#[test]
fn a_token_has_every_field_that_it_stands_in() {
    let release = Publisher::new(1).release(0, "serde_json", "1.0.0", |release| {
        release.title = Some("A title".into());
        release.tags = vec!["serde".into(), "tagged".into()];
        release.categories = vec!["encoding::tagged".into()];
        release.description = "JSON, encoding described".into();
    });
    let tokens = Tokens::of(&release);
    let fields = |word: &str| tokens.fields(&wholes(word)[0]).map(|fields| format!("{fields:?}"));
    assert_eq!(fields("serdejson").as_deref(), Some("[Name, NamePart]"));
    assert_eq!(fields("serde").as_deref(), Some("[NamePart, Tag]"));
    assert_eq!(fields("title").as_deref(), Some("[Title]"));
    assert_eq!(fields("tagged").as_deref(), Some("[Tag, Category]"));
    assert_eq!(fields("json").as_deref(), Some("[NamePart, Description]"));
    assert_eq!(fields("described").as_deref(), Some("[Description]"));
    assert_eq!(fields("absent"), None);
    let beside = |word: &str| tokens.fields(&wholes(word)[0]).and_then(Fields::beside_description);
    assert_eq!(beside("json"), Some(Fields::only(Field::NamePart)));
    assert_eq!(beside("described"), None);
}

#[test]
fn tokens_that_begin_alike_are_each_kept_in_the_order_of_their_bytes() {
    let text = "recompilation b recompile\u{301} recompil recompiler a recompiled ab recompilable recompil";
    let release = Publisher::new(1).release(0, "aa", "1.0.0", |release| release.description = text.into());
    let tokens = Tokens::of(&release);
    let found: Vec<_> = tokens.iter().map(|(token, _)| token).collect();
    let mut expected: Vec<_> = words(text).into_iter().chain(["aa".to_owned()]).collect();
    expected.sort();
    expected.dedup();
    assert_eq!((&found[..], found.len()), (&expected.iter().map(String::as_str).collect::<Vec<_>>()[..], 10));
}

#[test]
fn the_name_is_as_long_as_its_letters() {
    let length = |name: &str| Tokens::of(&Publisher::new(1).release(0, name, "1.0.0", |_| {})).name_bytes();
    assert_eq!((length("serde_json"), length("a"), length("a-".repeat(20).trim_end_matches('-'))), (9, 1, 20));
    assert_eq!(length(&"x".repeat(40)), MAX_TOKEN_BYTES);
}

#[test]
fn plurals_are_singular() {
    let singular = "editor utility class hash match box database cache tool font";
    let plural = "Editors utilities classes hashes matches boxes databases caches TOOLS fonts";
    // Which of `ches` is one of `che` no rule tells.
    assert_eq!(sought(plural), sought(&singular.replace("cache", "cach")));
    for word in ["class", "redis", "status", "tls", "js", "k8s", "c++", "nodejs", "éditeurs", "ss", "s"] {
        assert_eq!(sought(word), [word]);
    }
    assert_eq!(words("http-servers"), ["http", "server", "httpserver"]);
}

#[test]
fn a_package_has_a_bounded_number_of_tokens_and_its_name_is_among_them() {
    let release = Publisher::new(1).release(0, "zzz", "1.0.0", |release| {
        release.tags =
            (0..32).map(|tag| (0..16).map(|word| format!("{tag}x{word} ")).collect::<String>().trim().into()).collect();
        for tag in &mut release.tags {
            tag.truncate(64);
            tag.truncate(tag.trim_end().len());
        }
        release.description = "a b c ".repeat(80).trim().into();
    });
    let tokens = Tokens::of(&release);
    assert_eq!(tokens.iter().count(), MAX_TOKENS_PER_PACKAGE);
    assert_eq!(tokens.fields(&wholes("zzz")[0]).map(|fields| fields.have(Field::Name)), Some(true));
}

#[test]
fn the_longest_text_of_one_kind_of_character_takes_no_time_of_note() {
    // Quadratic behaviour would make this test run for a minute.
    for text in ["+", "-", "_a", "aA", "\u{301}", "e\u{301}\u{327}", "\u{fdfa}", "\u{202e}", "'", "c+"] {
        let text = text.repeat(30_000);
        assert!(tokens(&text).iter().all(|token| token.as_str().len() <= MAX_TOKEN_BYTES));
    }
}

proptest! {
    #[test]
    fn any_text_gives_bounded_tokens(text in any::<String>()) {
        for token in tokens(&text) {
            prop_assert!(!token.as_str().is_empty() && token.as_str().len() <= MAX_TOKEN_BYTES);
            prop_assert!(!token.as_str().contains('\0'));
        }
    }

    #[test]
    fn a_token_as_a_query_looks_for_itself(text in any::<String>()) {
        for token in tokens(&text) {
            prop_assert_eq!(wholes(token.as_str()), vec![token]);
        }
    }

    #[test]
    fn what_a_query_looks_for_is_among_the_tokens_of_the_same_text(text in any::<String>()) {
        let tokens = tokens(&text);
        for whole in wholes(&text) {
            prop_assert!(tokens.contains(&whole));
        }
    }

    #[test]
    fn normal_form_and_ascii_case_do_not_matter(text in "[a-z éàüßñ한글ａ １]{0,40}") {
        let decomposed: String = text.nfd().collect();
        prop_assert_eq!(tokens(&decomposed), tokens(&text));
        prop_assert_eq!(tokens(&text.to_uppercase()), tokens(&text));
    }
}
