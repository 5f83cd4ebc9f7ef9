//! The server: takes connections, turns requests into questions, and gives the answers back.

use super::{Answer, Asked, Form, Question, Verdict, Window};
use crate::floor::limits::WATCHERS;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

/// Pause before a port that is taken is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Longest time of a connection, from the first byte to the last. Whoever is slower on the loopback address hangs.
const WHOLE: Duration = Duration::from_secs(10);
/// Longest wait for an answer: the main thread may be writing to a slow disk.
const ANSWERING: Duration = Duration::from_secs(5);

/// Answers until `stop` becomes true. A port that cannot be had is tried again, and `window` says so meanwhile.
pub(crate) async fn run(
    listen: SocketAddr,
    window: Arc<Mutex<Window>>,
    questions: mpsc::Sender<Asked>,
    mut stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        let serve = async {
            if let Some(listener) = open(listen, &window).await {
                accept(&listener, &questions).await;
            }
            sleep(AGAIN).await;
        };
        tokio::select! {
            () = serve => {}
            _ = stop.changed() => return,
        }
    }
}

/// Takes the port, if it can be had.
async fn open(listen: SocketAddr, window: &Mutex<Window>) -> Option<TcpListener> {
    let bound = TcpListener::bind(listen).await;
    let mut state = window.lock().unwrap_or_else(PoisonError::into_inner);
    match bound {
        Ok(listener) => {
            info!(listen = %listen, "whoever watches is answered");
            *state = Window::Open;
            Some(listener)
        }
        Err(error) => {
            let closed = Window::Closed(format!("{listen}: {}", error.kind()));
            if *state != closed {
                warn!(listen = %listen, error = %error.kind(), "nobody can watch the daemon by HTTP; trying again");
                *state = closed;
            }
            None
        }
    }
}

/// Takes connections, a few at a time; further ones wait.
async fn accept(listener: &TcpListener, questions: &mpsc::Sender<Asked>) {
    let places = Arc::new(Semaphore::new(WATCHERS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let questions = questions.clone();
                tokio::spawn(async move {
                    attend(stream, questions).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Most often no file can be opened any more; at once it would be the same again.
                debug!(error = %error.kind(), "a connection cannot be taken");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection, one request.
async fn attend(stream: TcpStream, questions: mpsc::Sender<Asked>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let questions = questions.clone();
        async move { Ok::<_, Infallible>(respond(&request, &questions).await) }
    });
    let connection =
        http1::Builder::new().keep_alive(false).max_buf_size(16 << 10).serve_connection(TokioIo::new(stream), service);
    match timeout(WHOLE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a watcher's connection ended early"),
        Err(_elapsed) => debug!("a watcher's connection took too long"),
    }
}

async fn respond(request: &Request<Incoming>, questions: &mpsc::Sender<Asked>) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, Form::Text, "only GET and HEAD\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let Some(question) = Question::of(request.uri().path(), request.uri().query()) else {
        let known = "there are /livez, /readyz, /healthz, /healthz?verbose, /metrics and /status\n";
        return response(StatusCode::NOT_FOUND, Form::Text, known);
    };
    match ask(question, questions).await {
        Some(Answer { verdict: Verdict::Good, form, body }) => response(StatusCode::OK, form, body),
        Some(Answer { verdict: Verdict::Bad, form, body }) => response(StatusCode::SERVICE_UNAVAILABLE, form, body),
        None => response(StatusCode::SERVICE_UNAVAILABLE, Form::Text, "the daemon does not answer\n"),
    }
}

async fn ask(question: Question, questions: &mpsc::Sender<Asked>) -> Option<Answer> {
    let (answer, answered) = oneshot::channel();
    let asking = async {
        questions.send(Asked { question, answer }).await.ok()?;
        answered.await.ok()
    };
    timeout(ANSWERING, asking).await.ok().flatten()
}

fn response(status: StatusCode, form: Form, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let content_type = match form {
        Form::Text => "text/plain; charset=utf-8",
        Form::Json => "application/json",
        Form::Metrics => "text/plain; version=0.0.4; charset=utf-8",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
