//! The power is cut at every step of a sequence of commits; whatever was acknowledged must be there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::power::{Lie, PowerDisk, Survivors};
use super::{block, neighbour, put, record, remove};
use crate::store::blocks::Blocks;
use crate::store::records::Records;
use crate::store::writer::Writer;
use crate::store::{Batch, ContentId, Load, OpenError, RecordKey};

/// Groups of batches, as the writer takes them: new records, shared blocks, removals, replacements, what is there already.
fn groups() -> Vec<Vec<Batch>> {
    vec![
        vec![put([record(1, 200), record(2, 900)], [block(1, 3000), block(2, 10)])],
        vec![put([record(3, 16_000)], [block(3, 700)]), put([record(4, 50)], [block(3, 700), block(4, 1)]), remove(2)],
        vec![put([record(1, 200)], [block(1, 3000)])],
        vec![put([record(1, 201), record(5, 5000)], [block(5, 513)]), put([], [block(6, 100)])],
        vec![put([record(2, 900)], [block(2, 10)]), remove(3), put((10..30).map(|n| record(n, 2000)), [block(7, 9)])],
        vec![put((30..34).map(|n| record(n, 12_000)), [neighbour(block(1, 3000).0)]), remove(4)],
    ]
}

/// What a store is to hold.
#[derive(Debug, Clone, Default)]
struct Promised {
    records: BTreeMap<RecordKey, Vec<u8>>,
    blocks: BTreeSet<ContentId>,
}

impl Promised {
    fn add(&mut self, batch: &Batch) {
        for key in &batch.removed {
            self.records.remove(key);
        }
        self.records.extend(batch.records.iter().map(|(key, bytes)| (*key, bytes.to_vec())));
        self.blocks.extend(batch.blocks.iter().map(|(id, _)| *id));
    }
}

/// What was acknowledged, and the batches that were under way when the power was cut.
#[derive(Debug, Default)]
struct Run {
    promised: Promised,
    under_way: Vec<Batch>,
}

fn open(disk: &PowerDisk) -> Result<Writer, OpenError> {
    Writer::open(Box::new(disk.clone()), Path::new("simulated"))
}

/// Commits until all is done or the power fails.
fn run(disk: &PowerDisk) -> Run {
    let mut run = Run::default();
    let Ok(writer) = open(disk) else { return run };
    for group in groups() {
        let (waiters, answers): (Vec<_>, Vec<_>) = group.iter().map(|_| oneshot::channel()).unzip();
        writer.commit(&group, waiters);
        for (batch, mut answer) in group.into_iter().zip(answers) {
            match answer.try_recv() {
                Ok(Ok(())) => run.promised.add(&batch),
                _ => run.under_way.push(batch),
            }
        }
        if disk.is_off() {
            break;
        }
    }
    run
}

/// Everything that is wrong with a store that was opened again.
fn faults(run: &Run, records: &Arc<Records>, blocks: &Blocks) -> Vec<String> {
    let mut faults = Vec::new();
    let mut found = BTreeMap::new();
    for entry in Load::new(Arc::clone(records)) {
        match entry {
            Ok((key, bytes)) => drop(found.insert(key, bytes)),
            Err(error) => faults.push(format!("records do not load: {error:?}")),
        }
    }
    let has =
        |id: &ContentId| blocks.read(id).is_ok_and(|block| block.is_some()) && blocks.has(id).is_ok_and(|has| has);
    for id in &run.promised.blocks {
        if !has(id) {
            faults.push(format!("acknowledged block {id} is lost"));
        }
    }
    let mut allowed: BTreeMap<RecordKey, Vec<Option<Vec<u8>>>> =
        run.promised.records.iter().map(|(key, bytes)| (*key, vec![Some(bytes.clone())])).collect();
    for batch in &run.under_way {
        for key in &batch.removed {
            allowed.entry(*key).or_default().push(None);
        }
        for (key, bytes) in &batch.records {
            let before = run.promised.records.get(key).cloned();
            let bytes = bytes.to_vec();
            if found.get(key) == Some(&bytes)
                && before.as_ref() != Some(&bytes)
                && !batch.blocks.iter().all(|(id, _)| has(id))
            {
                faults.push(format!("record {} is there without its blocks", key.id));
            }
            allowed.entry(*key).or_default().extend([before, Some(bytes)]);
        }
    }
    for key in found.keys().chain(allowed.keys()).collect::<BTreeSet<_>>() {
        let may_be = allowed.get(key).cloned().unwrap_or(vec![None]);
        if !may_be.contains(&found.get(key).cloned()) {
            faults.push(format!("acknowledged state of record {} is lost", key.id));
        }
    }
    faults
}

/// Opens a disk after a power cut; what is wrong with what it holds, and with using it further.
fn check(run: &Run, disk: &PowerDisk) -> Vec<String> {
    let writer = match open(disk) {
        Ok(writer) => writer,
        Err(error) => return vec![format!("does not open: {error:?}")],
    };
    let mut found = faults(run, &writer.records, &writer.blocks);
    let mut more = Run { promised: run.promised.clone(), under_way: run.under_way.clone() };
    let batch = put([record(99, 3000)], [block(99, 5000), block(1, 3000)]);
    let (waiter, mut answer) = oneshot::channel();
    writer.commit(std::slice::from_ref(&batch), vec![waiter]);
    match answer.try_recv() {
        Ok(Ok(())) => more.promised.add(&batch),
        other => found.push(format!("does not take commits: {other:?}")),
    }
    found.extend(faults(&more, &writer.records, &writer.blocks));
    found
}

fn steps_of_all() -> u64 {
    let disk = PowerDisk::new();
    let run = run(&disk);
    assert!(run.under_way.is_empty());
    disk.steps()
}

fn survivors(step: u64) -> impl Iterator<Item = Survivors> {
    let seeded = (0..4).map(move |seed| Survivors::Seeded(step * 4 + seed));
    [Survivors::None, Survivors::All, Survivors::Alternating].into_iter().chain(seeded)
}

#[test]
fn everything_acknowledged_survives_a_power_cut_at_every_step() {
    let steps = steps_of_all();
    // Each commit takes several steps: fewer would mean that the simulated disk is not the one written to.
    assert!(steps > 60, "{steps}");
    let mut acknowledged = BTreeSet::new();
    for step in 0..=steps {
        let disk = PowerDisk::new();
        disk.cut_power_at(step);
        let run = run(&disk);
        acknowledged.insert(run.promised.records.len());
        for survivors in survivors(step) {
            let found = check(&run, &disk.after_power_cut(survivors));
            assert!(found.is_empty(), "power cut at step {step} of {steps}, {survivors:?}: {found:#?}");
        }
    }
    assert!(acknowledged.len() > 4, "the cuts fell between the same acknowledgements: {acknowledged:?}");
}

#[test]
fn a_second_power_cut_during_recovery_loses_nothing() {
    let steps = steps_of_all();
    for step in (0..=steps).step_by(3) {
        let disk = PowerDisk::new();
        disk.cut_power_at(step);
        let run = run(&disk);
        let once = disk.after_power_cut(Survivors::Seeded(step));
        for second in 0.. {
            let disk = once.after_power_cut(Survivors::All);
            disk.cut_power_at(second);
            let recovered = open(&disk).is_ok();
            let twice = disk.after_power_cut(Survivors::Seeded(second));
            let found = check(&run, &twice);
            assert!(found.is_empty(), "power cuts at step {step} and at step {second} of recovery: {found:#?}");
            if recovered {
                break;
            }
        }
    }
}

/// A writer that acknowledges before the sync is the same as a disk whose sync does nothing. Whether the check sees that
/// something acknowledged is lost.
fn is_caught(lie: Lie) -> bool {
    let steps = steps_of_all();
    (0..=steps).any(|step| {
        let disk = PowerDisk::new();
        // The database's first pages are synced in truth, so that what is lost are records and not the whole file.
        drop(open(&disk).unwrap());
        disk.lie_about(lie);
        disk.cut_power_at(disk.steps() + step);
        let run = run(&disk);
        let found = check(&run, &disk.after_power_cut(Survivors::None));
        found.iter().any(|fault| fault.starts_with("acknowledged"))
    })
}

#[test]
fn the_check_finds_no_fault_where_no_sync_lies() {
    let disk = PowerDisk::new();
    let run = run(&disk);
    let all = groups().concat().iter().fold(Promised::default(), |mut all, batch| {
        all.add(batch);
        all
    });
    assert_eq!(run.promised.records, all.records);
    assert_eq!(check(&run, &disk.after_power_cut(Survivors::None)), Vec::<String>::new());
}

#[test]
fn acknowledging_records_before_their_sync_is_caught() {
    assert!(is_caught(Lie::Database));
}

#[test]
fn acknowledging_records_before_the_name_of_their_file_is_synced_is_caught() {
    let disk = PowerDisk::new();
    disk.lie_about(Lie::DatabaseName);
    let run = run(&disk);
    let found = check(&run, &disk.after_power_cut(Survivors::None));
    assert!(found.iter().any(|fault| fault.starts_with("acknowledged state of record")), "{found:?}");
}

#[test]
fn acknowledging_blocks_before_their_sync_is_caught() {
    assert!(is_caught(Lie::File));
}

#[test]
fn acknowledging_blocks_before_their_names_are_synced_is_caught() {
    assert!(is_caught(Lie::Directory));
}

#[test]
fn a_kill_without_a_power_cut_does_not_turn_unsynced_names_into_durable_ones() {
    // The kill leaves everything that was written to the system, and the next life is asked for the same blocks again.
    let steps = steps_of_all();
    for step in 0..=steps {
        let disk = PowerDisk::new();
        disk.cut_power_at(step);
        run(&disk);
        let killed = disk.after_kill();
        let run = run(&killed);
        assert!(run.under_way.is_empty(), "killed at step {step}");
        let found = check(&run, &killed.after_power_cut(Survivors::None));
        assert!(found.is_empty(), "killed at step {step}, power cut later: {found:#?}");
    }
}

#[test]
fn a_block_that_a_publisher_need_not_send_survives_a_power_cut() {
    let steps = steps_of_all();
    for step in 0..=steps {
        let disk = PowerDisk::new();
        disk.cut_power_at(step);
        run(&disk);
        let killed = disk.after_kill();
        let writer = open(&killed).unwrap();
        let mut there: Vec<_> = groups().concat().into_iter().flat_map(|batch| batch.blocks).collect();
        there.retain(|(id, _)| writer.blocks.has(id).unwrap());
        let writer = open(&killed.after_power_cut(Survivors::None)).unwrap();
        for (id, bytes) in there {
            assert_eq!(writer.blocks.read(&id).unwrap(), Some(bytes), "killed at step {step}");
        }
    }
}
