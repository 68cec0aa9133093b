//! The lexer: words, numbers and symbols of an expression.

use super::ExprError;
use crate::value::{Number, parse_decimal};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Lexeme {
    Number(Number),
    Variable(String),
    Word(String),
    Symbol(&'static str),
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) lexeme: Lexeme,
    pub(super) start: usize,
    pub(super) len: usize,
}

impl Token {
    pub(super) fn error(&self, message: impl Into<String>, help: &str) -> ExprError {
        ExprError::flaw(self.start, self.len, message, help)
    }
}

const SYMBOLS: &[&str] =
    &["**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "<", ">", "(", ")", "[", "]", ","];

pub(super) fn tokenize(text: &str) -> Result<Vec<Token>, ExprError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    let word = |from: usize| {
        let rest = &text[from..];
        rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
    };
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (lexeme, len) = if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        } else if c == '$' {
            let len = word(at + 1);
            if len == 0 {
                let help = if rest[1..].starts_with('{') {
                    "braces are for ids: here it is `$width`"
                } else {
                    "for example `$width`"
                };
                return Err(ExprError::flaw(at, 1, "a variable's name must follow `$`", help));
            }
            (Lexeme::Variable(text[at + 1..at + 1 + len].to_owned()), len + 1)
        } else if c.is_ascii_digit() {
            let len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let number = parse_decimal(&rest[..len]).ok_or_else(|| {
                let message = format!("`{}` is not a number", &rest[..len]);
                ExprError::flaw(at, len, message, "a number has one decimal point: `0.25`")
            })?;
            (Lexeme::Number(number), len)
        } else if c.is_ascii_alphabetic() || c == '_' {
            (Lexeme::Word(rest[..word(at)].to_owned()), word(at))
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (Lexeme::Symbol(symbol), symbol.len())
        } else {
            let message = format!("`{c}` has no meaning in an expression");
            let help = "operators: + - * / // % ** == != < <= > >= and or not, `a if c else b`";
            return Err(ExprError::flaw(at, c.len_utf8(), message, help));
        };
        tokens.push(Token { lexeme, start: at, len });
        at += len;
    }
    Ok(tokens)
}
