//! `ggen-tantivy DOCUMENTS QUERIES ANSWERS`: indexes the documents of one JSON file and writes tantivy's answers to the queries of
//! another, the names of the best 20 each. Words of names, titles, tags and descriptions are weighed by BM25 with boosts; every word of a
//! query has to match, the last one may be a beginning.

use std::fs::File;
use std::io::BufReader;

use anyhow::{Context, Result};
use serde::Deserialize;
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, BoostQuery, FuzzyTermQuery, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, STORED, STRING, Schema, TEXT, Value};
use tantivy::tokenizer::TokenStream;
use tantivy::{Index, TantivyDocument, Term, doc};

#[derive(Deserialize)]
struct Document {
    name: String,
    title: String,
    tags: String,
    description: String,
}

/// What a word of each field is worth beside one of the description.
const BOOSTS: [f32; 4] = [4.0, 2.0, 2.0, 1.0];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [documents, queries, answers] = &arguments[..] else {
        anyhow::bail!("usage: ggen-tantivy DOCUMENTS QUERIES ANSWERS");
    };
    let documents: Vec<Document> = serde_json::from_reader(BufReader::new(File::open(documents)?))?;
    let queries: Vec<String> = serde_json::from_reader(BufReader::new(File::open(queries)?))?;

    let mut schema = Schema::builder();
    let id = schema.add_text_field("id", STRING | STORED);
    let fields = ["name", "title", "tags", "description"].map(|name| schema.add_text_field(name, TEXT));
    let index = Index::create_in_ram(schema.build());
    let mut writer = index.writer_with_num_threads(1, 128 << 20)?;
    let [name, title, tags, description] = fields;
    for one in documents {
        writer.add_document(doc!(
            id => one.name.clone(), name => one.name, title => one.title, tags => one.tags, description => one.description,
        ))?;
    }
    writer.commit()?;

    let searcher = index.reader()?.searcher();
    let mut tokenizer = index.tokenizers().get("default").context("tantivy's own tokenizer")?;
    let mut found = Vec::new();
    for text in queries {
        let mut words = Vec::new();
        tokenizer.token_stream(&text).process(&mut |token| words.push(token.text.clone()));
        let query = all_of(&words, &fields);
        let best = searcher.search(&query, &TopDocs::with_limit(20).order_by_score())?;
        let names = best.into_iter().map(|(_, address)| {
            let document: TantivyDocument = searcher.doc(address)?;
            let name = document.get_first(id).and_then(|value| value.as_str().map(str::to_owned));
            name.context("every document has a name")
        });
        found.push(names.collect::<Result<Vec<String>>>()?);
    }
    serde_json::to_writer(File::create(answers)?, &found)?;
    Ok(())
}

fn all_of(words: &[String], fields: &[Field; 4]) -> BooleanQuery {
    let word = |(at, word): (usize, &String)| {
        let mut anywhere: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for (field, boost) in fields.iter().zip(BOOSTS) {
            let term = Term::from_field_text(*field, word);
            let whole = TermQuery::new(term.clone(), IndexRecordOption::WithFreqs);
            anywhere.push((Occur::Should, Box::new(BoostQuery::new(Box::new(whole), boost))));
            if at + 1 == words.len() {
                let beginning = FuzzyTermQuery::new_prefix(term, 0, true);
                anywhere.push((Occur::Should, Box::new(BoostQuery::new(Box::new(beginning), boost))));
            }
        }
        (Occur::Must, Box::new(BooleanQuery::new(anywhere)) as Box<dyn Query>)
    };
    BooleanQuery::new(words.iter().enumerate().map(word).collect())
}
