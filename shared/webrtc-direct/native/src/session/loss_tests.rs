//! A network that loses, delays and repeats.

use super::*;

/// One datagram of six is lost, one comes late, one comes twice.
#[test]
fn channels_are_opened_used_and_closed_as_if_nothing_were_lost() {
    let mut pair = Pair::new();
    let start = pair.now;
    let mut random = 7_u64;
    let mut chance = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 40) % 6
    };
    let mut on_the_way: Vec<(Instant, bool, Vec<u8>)> = Vec::new();
    let mut asking: Vec<(ChannelId, Vec<u8>, usize)> = Vec::new();
    let mut answering: Vec<(ChannelId, usize)> = Vec::new();
    let (mut begun, mut answered) = (0_usize, 0);
    while answered < 300 {
        assert!(pair.now - start < Duration::from_secs(600), "{answered} answered");
        while asking.len() < 8 && begun < 300 {
            let Some(Some(channel)) = poll!(poll_open(pair.client)) else { break };
            let question = vec![begun as u8; 1 + begun * 37 % 9000];
            pair.client.send(channel, &question).unwrap();
            asking.push((channel, question, 0));
            begun += 1;
        }
        while let Some(Some(channel)) = poll!(poll_opened(pair.server)) {
            answering.push((channel, 0));
        }
        answering.retain_mut(|(channel, length)| match receive(&mut pair.server, *channel) {
            Some(Some(bytes)) => {
                let bytes = bytes.unwrap();
                *length += bytes.len();
                pair.server.send(*channel, &bytes).unwrap();
                true
            }
            Some(None) => {
                pair.server.close_channel(*channel);
                false
            }
            None => true,
        });
        asking.retain_mut(|(channel, question, length)| {
            if let Some(Some(bytes)) = receive(&mut pair.client, *channel) {
                let bytes = bytes.unwrap();
                assert!(bytes.iter().all(|byte| *byte == question[0]));
                *length += bytes.len();
            }
            if *length == question.len() {
                pair.client.close_channel(*channel);
                answered += 1;
            }
            *length < question.len()
        });
        pair.client.advance(pair.now);
        pair.server.advance(pair.now);
        for is_clients in [true, false] {
            let from = if is_clients { &mut pair.client } else { &mut pair.server };
            while let Some(datagram) = from.next_datagram() {
                let times = [0, 2, 1, 1, 1, 1][chance() as usize];
                for _ in 0..times {
                    let late = Duration::from_millis(if chance() == 0 { 60 } else { 10 });
                    on_the_way.push((pair.now + late, is_clients, datagram.clone()));
                }
            }
        }
        pair.now += Duration::from_millis(5);
        let now = pair.now;
        for (_, is_clients, datagram) in on_the_way.extract_if(.., |(at, ..)| *at <= now) {
            let to = if is_clients { &mut pair.server } else { &mut pair.client };
            to.receive(now, &datagram);
        }
        for session in [&mut pair.client, &mut pair.server] {
            assert!(session.take_end().is_none(), "{answered} answered");
        }
    }
    pair.settle();
    answering.iter().for_each(|(channel, _)| pair.server.close_channel(*channel));
    pair.settle();
    assert_eq!((pair.client.channel_count(), pair.server.channel_count()), (1, 1));
    for session in [&pair.client, &pair.server] {
        assert_eq!(session.channels.watch.unacknowledged(), 0);
    }
}
