//! Events of this program as lines of JSON.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::file;
use crate::redaction::Redaction;

/// Bytes that a run may write; its end and its errors always.
const MOST_OF_A_RUN: usize = 128 << 10;

/// Characters of one text.
const MOST_OF_A_TEXT: usize = 2000;

/// Writes each event of this program at the end of a file.
#[derive(Debug)]
pub(super) struct Lines {
    file: File,
    run: String,
    redaction: Redaction,
    written: AtomicUsize,
}

impl Lines {
    /// For the run of that id; `None` where no file can be written.
    pub fn open(folder: &Path, run: &str, redaction: Redaction) -> Option<Self> {
        let file = file::open(folder).ok()?;
        Some(Self { file, run: run.to_owned(), redaction, written: AtomicUsize::new(0) })
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        // What libraries say may hold anything, and is theirs.
        if !metadata.target().starts_with("wan22_policy") || *metadata.level() > Level::INFO {
            return;
        }
        let mut fields = Fields { redaction: &self.redaction, event: String::new(), fields: Map::new() };
        event.record(&mut fields);
        let is_needed = fields.event == "end" || *metadata.level() == Level::ERROR;
        if self.written.load(Ordering::Relaxed) > MOST_OF_A_RUN && !is_needed {
            return;
        }
        let mut line = Map::new();
        let time = jiff::Timestamp::now();
        line.insert("time".to_owned(), format!("{time:.3}").into());
        line.insert("run".to_owned(), self.run.as_str().into());
        line.insert("event".to_owned(), fields.event.into());
        line.append(&mut fields.fields);
        let text = format!("{}\n", Value::Object(line));
        self.written.fetch_add(text.len(), Ordering::Relaxed);
        // One call, which no line of another process can come into. A disk that is full is nobody's error here.
        let _ = (&self.file).write_all(text.as_bytes());
    }
}

// What an event says: its own text, and its fields.
struct Fields<'a> {
    redaction: &'a Redaction,
    event: String,
    fields: Map<String, Value>,
}

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            // The literal of the call.
            "message" => self.event = format!("{value:?}"),
            _ => self.record_str(field, &format!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = self.redaction.text(value);
        if let Some((end, _)) = text.char_indices().nth(MOST_OF_A_TEXT) {
            text.truncate(end);
            text.push('…');
        }
        self.put(field, text);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}
