//! The server's ends of a simulated network: its listener, and a socket for each client.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::event::Source;
use mio::{Interest, Registry, Token};

use crate::server::socket::{Deed, Listen, Socket, Transport};
use crate::server::tests::simulation::net::{Id, Net, Pipe};

/// One client's socket, as the server has it.
pub(crate) struct SimSocket {
    net: Net,
    id: Id,
}

/// Where clients connect.
pub(crate) struct SimListener(Net);

impl SimListener {
    pub(crate) fn new(net: Net) -> Self {
        Self(net)
    }
}

impl Listen for SimListener {
    type Socket = SimSocket;

    fn accept(&self) -> io::Result<(SimSocket, SocketAddr)> {
        let (id, address) = self.0.accept()?;
        let net = self.0.clone();
        Ok((SimSocket { net, id }, address))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(ErrorKind::AddrNotAvailable.into())
    }

    fn descriptors_max(&self) -> usize {
        usize::MAX
    }

    fn send_to(&self, _index: u32) -> io::Result<SimSocket> {
        Err(ErrorKind::Unsupported.into())
    }

    fn share_evenly(&self) {}
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.0.stop_listening();
    }
}

impl Read for SimSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self
            .net
            .transfer(self.id, |pipe, _| pipe.read(buffer, true));
        self.net.spend(self.id);
        read
    }
}

impl Write for SimSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.net
            .transfer(self.id, |pipe, rng| pipe.write(bytes, rng))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for SimSocket {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        let address = self.net.pipe(self.id, |pipe| pipe.address);
        address.ok_or(ErrorKind::NotConnected.into())
    }

    fn note(&mut self, deed: Deed<'_>) {
        self.net.touch(self.id, |pipe| match deed {
            Deed::Read => pipe.messages += 1,
            Deed::Change(position) => pipe.deeds.changes.push(position),
            Deed::Skip => pipe.deeds.skips.push(pipe.total),
            Deed::Seal(text) => pipe.seal(text),
            Deed::Close {
                reason,
                is_finished,
            } => pipe.close(reason, is_finished),
        });
    }

    fn finish(&mut self) {
        self.net.touch(self.id, Pipe::finish);
    }

    fn reset_on_drop(&mut self) {
        self.net.touch(self.id, |pipe| pipe.reset_on_drop = true);
    }
}

impl Transport for SimSocket {
    type Listener = SimListener;
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        self.net.drop_end(self.id);
    }
}

/// Registers with no system: events come from the network.
impl Source for SimSocket {
    fn register(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        self.net.watch(self.id, Some(token));
        Ok(())
    }

    fn reregister(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        self.net.watch(self.id, Some(token));
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        self.net.watch(self.id, None);
        Ok(())
    }
}

impl Source for SimListener {
    fn register(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        self.0.watch_listener(Some(token));
        Ok(())
    }

    fn reregister(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        self.0.watch_listener(Some(token));
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        self.0.watch_listener(None);
        Ok(())
    }
}
