//! actix within one process: the actor on an arbiter of its own.

use std::cell::RefCell;

use actix::{Actor, Addr, Arbiter, dev::Request};
use bytes::Bytes;

use super::{
    flame::{Ask, Echo, Tell},
    obey,
};
use crate::workload::{Client, Receipts};

pub(super) async fn call() {
    let address = Echo::start_in_arbiter(&Arbiter::new().handle(), |_| Echo::default());
    obey(Local { address, receipts: RefCell::new(Receipts::new()) }).await;
}

struct Local {
    address: Addr<Echo>,
    receipts: RefCell<Receipts<Request<Echo, Tell>>>,
}

impl Client for Local {
    async fn ask(&self, payload: &Bytes) {
        self.address.send(Ask(payload.clone())).await.expect("an answer");
    }

    async fn tell(&self, payload: &Bytes) {
        if !self.receipts.borrow_mut().is_due(payload.len()) {
            return self.address.do_send(Tell(payload.clone()));
        }
        let overdue = self.receipts.borrow_mut().keep(self.address.send(Tell(payload.clone())));
        if let Some(receipt) = overdue {
            receipt.await.expect("an answer");
        }
    }

    async fn settle(&self) {
        let open = self.receipts.borrow_mut().take();
        for receipt in open {
            receipt.await.expect("an answer");
        }
        self.ask(&Bytes::new()).await;
    }
}
