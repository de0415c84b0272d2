//! Handing a publication to a relay: in as many offers as it takes.

use ggen_shared::protocol::publish::Receipt;
use ggen_shared::protocol::query::Refusal;
use ggen_shared::registry::Publication;
use libp2p::PeerId;

use crate::exchange;
use crate::light::{AskError, LightPeer, Platform};

impl<P: Platform> LightPeer<P> {
    /// Hands a publication to one relay, and returns once it says that all of it is durable there. Keep pages go only to a relay that lacks
    /// them. The receipt is that of the last offer: of what was signed, if anything was.
    ///
    /// # Errors
    /// [`AskError`]; the publication may be handed over again.
    pub async fn hand_over(&self, relay: PeerId, publication: &Publication) -> Result<Receipt, AskError> {
        let first = self.offer_all(relay, publication, false).await;
        let receipt = match first {
            Err(AskError::Exchange(exchange::Error::Refused(refusal))) if lacks_pages(&refusal) => {
                self.offer_all(relay, publication, true).await?
            }
            first => first?,
        };
        if publication.is_kept(&receipt) {
            return Ok(receipt);
        }
        let refusal = Refusal::new("publish/not-kept", "not every record was kept");
        Err(AskError::Exchange(exchange::Error::Refused(refusal)))
    }

    async fn offer_all(&self, relay: PeerId, publication: &Publication, with_pages: bool) -> Result<Receipt, AskError> {
        let mut receipt = Receipt { kept: Vec::new(), new: Vec::new() };
        for offer in publication.offers(with_pages) {
            receipt = self.publish(relay, &offer, |cid| publication.blocks().get(cid).cloned()).await?;
        }
        Ok(receipt)
    }
}

/// Whether a relay needs the pages of the key log to take what it was offered.
fn lacks_pages(refusal: &Refusal) -> bool {
    matches!(&refusal.code[..], "publish/missing-pages" | "record/no-keep-page")
}
