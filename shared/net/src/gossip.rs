//! Gossip: the settings on which all peers agree, and what a peer thinks of those who send it something.

use std::time::Duration;

use ggen_shared::limits::MAX_RECORD_BYTES;
use ggen_shared::protocol::{announcement, names};
use libp2p::gossipsub::{self, PeerScoreParams, PeerScoreThresholds, TopicScoreParams, score_parameter_decay};

use crate::Role;

/// Gossip that remembers no topic but ours: what else a peer subscribes to would cost memory for as long as it stays.
pub type Gossip = gossipsub::Behaviour<gossipsub::IdentityTransform, gossipsub::WhitelistSubscriptionFilter>;

/// What gossipsub reads at once. It holds all that it has read, the beginning of the next messages included, against the bound
/// of one message, and drops the stream when it is more: without room for them, a burst of large records would be lost.
const GOSSIP_READ_BYTES: usize = 8 * 1024;
/// Entries that may wait to be sent to one subscriber, who does not read. The default of 5,000 would be 80 MB.
const QUEUE_LENGTH: usize = 128;
/// Who has less is not heard any more: ten messages that do not verify.
pub const GRAYLISTED_BELOW: f64 = -100.0;

/// The topic of signed records.
pub fn packages_topic() -> gossipsub::IdentTopic {
    gossipsub::IdentTopic::new(names::PACKAGES_TOPIC)
}

/// The topic of evidence against relays: [`ggen_shared::client::Evidence`], as it is verified by whoever was not there.
pub fn evidence_topic() -> gossipsub::IdentTopic {
    gossipsub::IdentTopic::new(names::EVIDENCE_TOPIC)
}

/// Subscribes to all that peers tell each other unasked.
///
/// # Panics
/// Never: there is no filter that could refuse these topics.
pub fn subscribe(gossip: &mut Gossip) {
    for topic in [packages_topic(), evidence_topic()] {
        gossip.subscribe(&topic).expect("a topic of ours can be subscribed to");
    }
}

/// Gossip for networks of two relays as well as of many.
///
/// # Panics
/// Never: the settings are constants that are known to fit each other.
pub(crate) fn gossip(role: Role) -> Gossip {
    let config = gossipsub::ConfigBuilder::default()
        .validate_messages()
        // Records are signed by their publishers; who passes them on is nobody's business.
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .message_id_fn(message_id)
        .max_transmit_size(MAX_RECORD_BYTES + 1024 + GOSSIP_READ_BYTES)
        .mesh_n(6)
        .mesh_n_low(2)
        .mesh_n_high(12)
        .mesh_outbound_min(1)
        .heartbeat_interval(Duration::from_millis(700))
        // What was validated stays until every mesh peer had time to ask for it.
        .history_length(10)
        // Who is not in the mesh is told as often, each 0.7 s, of what was verified by then. Once is enough but where a queue was full; what takes two
        // seconds to verify, because a relay was silent that had to be asked, is told of all the same.
        .history_gossip(4)
        // A relay has far more subscribers than a mesh has room for. By the default, a quarter of the others would be told each time what there
        // is, and one in four never.
        .gossip_factor(if role == Role::Relay { 1.0 } else { 0.25 })
        .duplicate_cache_time(Duration::from_secs(120))
        .flood_publish(true)
        .connection_handler_queue_len(QUEUE_LENGTH)
        // Who asks for more at once than the queue takes does not get it.
        .max_control_messages_sent(QUEUE_LENGTH * 3 / 4)
        .build()
        .expect("constant settings that fit each other");
    let topics = gossipsub::WhitelistSubscriptionFilter([packages_topic().hash(), evidence_topic().hash()].into());
    let mut gossip = Gossip::new_with_subscription_filter(gossipsub::MessageAuthenticity::Anonymous, config, topics)
        .expect("anonymous authenticity goes with anonymous validation");
    gossip.with_peer_score(score(), thresholds()).expect("constant parameters that fit each other");
    gossip
}

fn message_id(message: &gossipsub::Message) -> gossipsub::MessageId {
    let id = match message.topic.as_str() {
        names::PACKAGES_TOPIC => announcement::message_id(&message.data),
        topic => announcement::message_id_on(topic, &message.data),
    };
    gossipsub::MessageId::new(&id)
}

/// What counts for and against a peer. Most of it is what it did: what does not verify weighs most, because no honest peer passes that on.
fn score() -> PeerScoreParams {
    let minutes = |minutes: u64| score_parameter_decay(Duration::from_secs(60 * minutes));
    let topic = TopicScoreParams {
        topic_weight: 1.0,
        // Up to 5 for ten minutes in the mesh, and up to 10 for having been first with something valid twenty times: who has that may send one more
        // invalid message than a stranger, not more.
        time_in_mesh_quantum: Duration::from_secs(60),
        time_in_mesh_weight: 0.5,
        time_in_mesh_cap: 10.0,
        first_message_deliveries_weight: 0.5,
        first_message_deliveries_cap: 20.0,
        first_message_deliveries_decay: minutes(10),
        // Publications come now and then, and others may be nearer to them: silence is no fault.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // By its square: one may be a fault of the line, ten are a flood. A tenth of it is left after ten minutes.
        invalid_message_deliveries_weight: -1.0,
        invalid_message_deliveries_decay: minutes(10),
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: [(packages_topic().hash(), topic.clone()), (evidence_topic().hash(), topic)].into(),
        topic_score_cap: 15.0,
        app_specific_weight: 0.0,
        // Thousands of browsers may be behind one address, and connections are shared by places already.
        ip_colocation_factor_weight: 0.0,
        // Messages that a peer says it has and does not send count, one by one. But an honest one has more of them after an import than its queue for
        // a subscriber takes: it would be taken for an attacker by all of them.
        behaviour_penalty_weight: 0.0,
        // A tab in the background is slow, and no attacker: it leaves the mesh until it keeps up, and is told all the same what there is.
        slow_peer_weight: -0.02,
        slow_peer_threshold: 16.0,
        slow_peer_decay: 0.2,
        // Who is graylisted stays so when it dials again. Not for longer, because what is remembered of those who left is bounded by this alone.
        retain_score: Duration::from_secs(300),
        ..PeerScoreParams::default()
    }
}

/// From which score on what is withheld from a peer: four invalid messages and it is not told what there is, eight and it is not sent what is
/// published here, eleven and nothing is heard of it.
fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -10.0,
        publish_threshold: -50.0,
        graylist_threshold: GRAYLISTED_BELOW,
        // Nobody exchanges peers by gossip: the DHT does.
        accept_px_threshold: 1000.0,
        // A mesh of strangers that bring nothing takes in some who did.
        opportunistic_graft_threshold: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_on_one_topic_is_not_what_is_said_on_another() {
        let id = |topic: gossipsub::TopicHash| {
            message_id(&gossipsub::Message { source: None, data: b"record".into(), sequence_number: None, topic })
        };
        let packages = id(packages_topic().hash());
        assert_eq!(packages, gossipsub::MessageId::new(&announcement::message_id(b"record")));
        assert_ne!(packages, id(evidence_topic().hash()));
        assert_ne!(id(evidence_topic().hash()), id(gossipsub::TopicHash::from_raw("another")));
    }

    #[test]
    fn the_settings_fit_each_other() {
        score().validate().unwrap();
        thresholds().validate().unwrap();
        for role in [Role::Relay, Role::Light] {
            _ = gossip(role);
        }
    }
}
