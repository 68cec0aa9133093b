//! cnnkit inside a page: one request in JSON, with the bytes of a file behind it, and one answer in JSON.
//!
//! The interface is four functions of plain numbers, so neither side needs a generator of bindings, and nothing here
//! reads through a pointer of the caller: the page writes into a buffer that this module owns, and reads another one.
//!
//! ```text
//! at = reserve(head + file);  write JSON and file there;  length = call(head);  read `length` bytes at answer()
//! ```
//!
//! A panic ends the instance. What it said is then the answer, which `last_words` makes ready; the page starts a new one.

#![allow(unsafe_code, reason = "`no_mangle` counts as unsafe code; there is no unsafe block")]

mod call;
mod edited;
mod mark;

use std::panic;
use std::ptr;
use std::sync::{Mutex, Once, PoisonError};

/// The request: JSON, and the bytes of a file behind it.
static REQUEST: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// The answer: JSON.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// What the panic said that ended this instance.
static LAST_WORDS: Mutex<String> = Mutex::new(String::new());
static HOOK: Once = Once::new();

fn set<T>(place: &Mutex<T>, value: T) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

/// Makes room for a request of `length` bytes and returns where it begins; null if there is no memory for it.
#[unsafe(no_mangle)]
pub extern "C" fn reserve(length: usize) -> *mut u8 {
    let mut request = REQUEST.lock().unwrap_or_else(PoisonError::into_inner);
    // The one before is given back first: two large files need not fit at once.
    *request = Vec::new();
    if request.try_reserve_exact(length).is_err() {
        return ptr::null_mut();
    }
    request.resize(length, 0);
    request.as_mut_ptr()
}

/// Answers the request, whose first `head` bytes are JSON and whose other bytes are a file; returns the length of the answer.
#[unsafe(no_mangle)]
pub extern "C" fn call(head: usize) -> usize {
    HOOK.call_once(|| panic::set_hook(Box::new(|said| set(&LAST_WORDS, said.to_string()))));
    // No lock is kept while the answer is computed.
    let mut request = std::mem::take(&mut *REQUEST.lock().unwrap_or_else(PoisonError::into_inner));
    let file = request.split_off(head.min(request.len()));
    let answer = call::answer(&request, file).into_bytes();
    let length = answer.len();
    set(&ANSWER, answer);
    length
}

/// Makes what the panic said the answer; returns its length, 0 if there was no panic.
#[unsafe(no_mangle)]
pub extern "C" fn last_words() -> usize {
    let words = std::mem::take(&mut *LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner)).into_bytes();
    let length = words.len();
    set(&ANSWER, words);
    length
}

/// Returns where the answer begins.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> *const u8 {
    ANSWER.lock().unwrap_or_else(PoisonError::into_inner).as_ptr()
}
