//! The methods of a hostile party to hold its share: many requests at once with their responses
//! unread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::asks::Ask;
use super::ground::Protocol;
use super::line::{Line, Party};

/// The pause of a hostile party after a refusal or a closed connection, for ever. With hundreds of
/// requests this makes a hundred in a second: far more than from a client with growing pauses, but
/// not a flood against the processor, because this program shares its two cores.
pub(super) const PAUSE: Duration = Duration::from_secs(5);
/// Requests of one HTTP/2 connection at once.
pub(super) const STREAMS: usize = 128;
/// The longest start of a siege. A request hanging for longer has started.
const SETTLING: Duration = Duration::from_secs(3);
/// The longest start of a siege of held responses.
const ANSWERING: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// All concurrent tasks of a siege; they end with it.
#[derive(Default)]
pub(super) struct Siege {
    tasks: JoinSet<()>,
    seen: Arc<Seen>,
    begun: usize,
}

#[derive(Default)]
pub(super) struct Seen {
    told: Arc<Mutex<BTreeMap<String, usize>>>,
    /// Requests sent as far as planned; the rest of a stopped body does not count.
    settled: AtomicUsize,
    answered: AtomicUsize,
}

impl Seen {
    /// Counts the first response to a request.
    pub(super) fn tell(&self, what: impl Into<String>) {
        *self.told.lock().unwrap().entry(what.into()).or_default() += 1;
    }

    fn answer(&self, what: impl Into<String>) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.tell(what);
    }

    pub(super) fn settle(&self) {
        self.settled.fetch_add(1, Ordering::Relaxed);
    }
}

impl Siege {
    /// Runs a task in the background; the task settles this many times.
    pub(super) fn go<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        settles: usize,
        act: impl FnOnce(Arc<Seen>) -> F,
    ) {
        self.begun += settles;
        self.tasks.spawn(act(Arc::clone(&self.seen)));
    }

    /// A part of a siege with its responses counted for the whole.
    pub(super) fn within(seen: &Seen) -> Self {
        let seen = Seen { told: Arc::clone(&seen.told), ..Seen::default() };
        Self { seen: Arc::new(seen), ..Self::default() }
    }

    /// Holds these requests: each response is read up to its head, and a refused request is
    /// repeated. With `leave`, each request is abandoned after this time, and repeated.
    pub(super) fn hold(&mut self, party: &Party, asks: Vec<Ask>, leave: Option<Duration>) {
        match party.protocol {
            Protocol::Http1 => {
                for ask in asks {
                    let party = party.clone();
                    self.go(1, |seen| async move {
                        loop {
                            alone(&party, &ask, &seen, leave).await;
                            sleep(PAUSE).await;
                        }
                    });
                }
            }
            Protocol::Http2 => {
                for asks in asks.chunks(STREAMS) {
                    let (party, asks) = (party.clone(), asks.to_vec());
                    self.go(asks.len(), |seen| async move {
                        loop {
                            together(&party, &asks, &seen, leave).await;
                            sleep(PAUSE).await;
                        }
                    });
                }
            }
        }
    }

    /// Opens connections, sends this on each, and waits; a closed connection is opened again.
    pub(super) fn sit(&mut self, party: &Party, connections: usize, says: &'static [u8]) {
        for number in 0..connections {
            let party = party.clone();
            self.go(1, |seen| async move {
                // All at once would overflow the queue of the kernel, and be no connections of `wharfd`.
                sleep(Duration::from_millis(number as u64)).await;
                loop {
                    let told = sit_down(&party, says, &seen).await;
                    seen.tell(told.unwrap_or_else(|error| error.to_string()));
                    sleep(PAUSE).await;
                }
            });
        }
    }

    /// Waits until all of it has begun, or is answered, for a while.
    pub(super) async fn settled(&self, answered: bool) {
        let seen = &self.seen;
        let (count, patience) =
            if answered { (&seen.answered, ANSWERING) } else { (&seen.settled, SETTLING) };
        let until = Instant::now() + patience;
        while count.load(Ordering::Relaxed) < self.begun && Instant::now() < until {
            sleep(POLL).await;
        }
    }

    /// Ends the siege; returns the responses to the hostile two.
    pub(super) async fn lift(mut self) -> BTreeMap<String, usize> {
        self.tasks.shutdown().await;
        let mut told = self.seen.told.lock().unwrap().clone();
        let settled = self.seen.settled.load(Ordering::Relaxed);
        told.insert("sent".to_owned(), settled);
        told
    }
}

/// One request on its own connection, held until it is abandoned or closed.
async fn alone(party: &Party, ask: &Ask, seen: &Seen, leave: Option<Duration>) {
    let held = async {
        let mut stream = party.connect(true).await?;
        ask.write(party, &mut stream).await?;
        seen.settle();
        seen.answer(status(&stream).await?);
        closed(&mut stream).await;
        anyhow::Ok(())
    };
    let held = async {
        if let Err(error) = held.await {
            seen.settle();
            seen.answer(error.to_string());
        }
    };
    match leave {
        Some(leave) => drop(timeout(leave, held).await),
        None => held.await,
    }
}

/// The status of a response; its bytes stay unread.
async fn status(stream: &TcpStream) -> std::io::Result<String> {
    let mut head = [0; 12];
    loop {
        let read = stream.peek(&mut head).await?;
        if read == 0 || read >= head.len() {
            return Ok(
                String::from_utf8_lossy(head[..read].get(9..).unwrap_or(b"end")).into_owned()
            );
        }
        sleep(POLL).await;
    }
}

/// Waits for the end of an unread connection. A refusal is visible by its status, and the
/// connection is left.
async fn closed(stream: &mut TcpStream) {
    let refused = {
        let mut head = [0; 10];
        stream.peek(&mut head).await.is_ok_and(|read| read == 10 && head[9] != b'2')
    };
    if refused {
        return;
    }
    let interest = tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE;
    while let Ok(ready) = stream.ready(interest).await {
        if ready.is_read_closed() || ready.is_write_closed() || ready.is_error() {
            return;
        }
        sleep(PAUSE / 10).await;
    }
}

/// Many requests on one connection.
async fn together(party: &Party, asks: &[Ask], seen: &Arc<Seen>, leave: Option<Duration>) {
    let line = match Line::unread(party).await {
        Ok(line) => line,
        Err(error) => {
            seen.tell(error.to_string());
            return;
        }
    };
    let mut held = JoinSet::new();
    for ask in asks {
        let (mut sender, request) = (line.streams(), ask.request(party));
        let seen = Arc::clone(seen);
        held.spawn(async move {
            let held = async {
                if let Err(error) = sender.ready().await {
                    seen.tell(error.to_string());
                    return;
                }
                let answer = sender.send_request(request);
                seen.settle();
                match answer.await {
                    Ok(answer) if answer.status().is_success() => {
                        seen.answer(answer.status().as_str());
                        // Its body is held, and nothing of it taken.
                        std::future::pending::<()>().await;
                        drop(answer);
                    }
                    Ok(answer) => seen.answer(answer.status().as_str()),
                    Err(error) => seen.answer(error.to_string()),
                }
            };
            match leave {
                Some(leave) => drop(timeout(leave, held).await),
                None => held.await,
            }
        });
    }
    while held.join_next().await.is_some() {}
}

/// A connection with few bytes and a long wait for its end; returns the response.
async fn sit_down(party: &Party, says: &[u8], seen: &Seen) -> anyhow::Result<String> {
    let connected = party.connect(false).await;
    seen.settle();
    let mut stream = connected?;
    stream.write_all(says).await?;
    let mut told = Vec::new();
    let read = stream.read_to_end(&mut told).await;
    let status = String::from_utf8_lossy(told.get(9..12).unwrap_or_default()).into_owned();
    read?;
    Ok(if status.is_empty() { "put out".to_owned() } else { status })
}
