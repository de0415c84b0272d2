//! Text to tokens, and a release to the tokens that it is found by.

use ggen_shared::record::{Release, Unverified};
use ggen_shared::search::analyser::{self, Tokens};
use serde::Deserialize;

use crate::{Checked, parse, records, same};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    nfkc_tables: (u8, u8, u8),
    case_tables: (u8, u8, u8),
    texts: Vec<Text>,
    releases: Vec<Found>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
    /// What a package with this text is found by.
    tokens: Vec<String>,
    /// What a query of this text looks for.
    query: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    /// Name of a valid record of `records.json`.
    release: String,
    /// Token, the fields that have it.
    tokens: Vec<(String, String)>,
}

pub(crate) fn check(json: &str, records: &str) -> Checked {
    let file: File = parse("analyser.json", json)?;
    same("analyser.json", "nfkc_tables", analyser::NFKC_TABLES, file.nfkc_tables)?;
    same("analyser.json", "case_tables", analyser::CASE_TABLES, file.case_tables)?;
    let strings = |tokens: Vec<analyser::Token>| tokens.iter().map(|it| it.as_str().to_owned()).collect::<Vec<_>>();
    for Text { text, tokens, query } in &file.texts {
        let vector = format!("analyser {text:?}");
        same(&vector, "what it is found by", &strings(analyser::tokens(text)), tokens)?;
        same(&vector, "what a query looks for", &strings(analyser::wholes(text)), query)?;
    }
    for Found { release, tokens } in &file.releases {
        let bytes = records::valid_record(records, release)?;
        let record = Unverified::<Release>::decode(&bytes).map_err(|error| format!("{release}: {error}"))?;
        let key_log = records::key_log(records)?;
        let network = records::network(records)?;
        let record = record.verify(&key_log, &network).map_err(|error| format!("{release}: {error}"))?;
        let found: Vec<_> =
            Tokens::of(&record).iter().map(|(token, fields)| (token.to_owned(), format!("{fields:?}"))).collect();
        same(&format!("tokens of {release}"), "the list", &found, tokens)?;
    }
    Ok(file.texts.len() + file.releases.len())
}
