use super::super::*;
use super::super::testing::{Publisher, *};
use crate::search::query::Query;

#[test]
fn experiment() {
    let crates: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string("/tmp/crates.json").unwrap()).unwrap();
    let n = std::env::var("PUBS").map_or(5, |n| n.parse().unwrap());
    let pubs: Vec<Publisher> = (1..=n).map(|n| Publisher::new(n)).collect();
    let owner = |name: &str| &pubs[(blake3::hash(name.as_bytes()).as_bytes()[0] as usize) % pubs.len()];
    let mut cat = Catalogue::new();
    for p in &pubs { cat.insert(p.inception()).unwrap(); }
    let start = std::time::Instant::now();
    let mut sign = std::time::Duration::ZERO;
    for (i, c) in crates.iter().enumerate() {
        let name = c["name"].as_str().unwrap();
        let p = owner(name);
        let s = std::time::Instant::now();
        let r = p.release(i as u32, name, c["version"].as_str().unwrap(), |r| {
            r.description = c["description"].as_str().unwrap().trim().into();
            r.tags = c["keywords"].as_array().unwrap().iter().map(|k| k.as_str().unwrap().to_string()).collect();
            r.categories = c["categories"].as_array().unwrap().iter().map(|k| k.as_str().unwrap().to_string()).collect();
            r.dependencies = c["deps"].as_array().unwrap().iter().filter_map(|d| { let d = d.as_str().unwrap(); d.parse().ok().map(|n| { let _: &crate::id::PackageName = &n; depends_on(&PackageId { publisher: owner(d).id(), name: n }) }) }).take(128).collect();
            r.created = 1_700_000_000;
        });
        sign += s.elapsed();
        cat.insert(record(r)).unwrap();
    }
    println!("insert {:?} (sign {sign:?}), packages {}", start.elapsed() - sign, cat.package_count());
    for q in std::env::var("Q").unwrap_or("async io|serialization|async|http|json|serde|ser|serde_json|crypto|hash|tls|a|web server|parse toml|random|error handling|regex|I/O|HTTPServer|non blocking|command line|libp2p|time|date time|compression|cryptography|unicode|wasm|testing|logging".into()).split('|') {
        let query = Query::parse(q).unwrap();
        let s = std::time::Instant::now();
        let page = cat.search(&query, 10, None).unwrap();
        let t = s.elapsed();
        println!("{q:20} {t:?} {}{}: {}", page.total, if page.total_is_exact {""} else {"+"}, page.hits.iter().map(|h| h.release.name.as_str()).collect::<Vec<_>>().join(" "));
    }
}
