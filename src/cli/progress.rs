//! A progress bar on standard error: only on a terminal, and only after a second.

use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The bar appears after this time.
const PATIENCE: Duration = Duration::from_secs(1);

/// Progress in thousandths of the work; the bar disappears when this is dropped.
pub struct Progress {
    what: &'static str,
    since: Instant,
    bar: OnceLock<ProgressBar>,
    terminal: bool,
}

impl Progress {
    /// Starts the work; no bar is shown yet.
    pub fn start(what: &'static str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { what, since: Instant::now(), bar: OnceLock::new(), terminal }
    }

    /// Reports the completed part.
    pub fn at(&self, thousandths: u64) {
        if self.terminal && self.since.elapsed() > PATIENCE {
            self.bar.get_or_init(|| self.draw()).set_position(thousandths);
        }
    }

    fn draw(&self) -> ProgressBar {
        let style = ProgressStyle::with_template("{msg} {bar:40} {percent:>3} % {eta}");
        let bar = ProgressBar::new(1000).with_message(self.what).with_elapsed(self.since.elapsed());
        style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
