//! Shapes: the field names of a struct, in order, written once and then referred to.
//!
//! A shape that was met before is known by its number; whether a *chunk* has defined it already is the matter of
//! the current scope. A scope is a chunk, or the key or the value of a map's entry; its definitions are numbered
//! from 0 in the order in which they were written. Numbers in `known` never reach the bytes.

use std::borrow::Cow;

use crate::encoder::{put_length, put_text};

/// How many shapes are remembered from one chunk to the next.
const SHAPES_KEPT_MAX: usize = 256;

#[derive(Clone, Debug)]
struct Shape {
    fields: Vec<Cow<'static, str>>,
    /// The name of the type that had this shape last: a hint for the next of its values, never written.
    type_name: &'static str,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Shapes {
    known: Vec<Shape>,
    /// The shapes defined in the open scopes, the innermost last.
    defined: Vec<u32>,
    /// Where the innermost scope begins in `defined`.
    scope: usize,
}

impl Shapes {
    /// Guesses the shape of a struct from its type's name.
    #[inline]
    pub(crate) fn guess(&self, type_name: &'static str) -> Option<u32> {
        let fits = |shape: &Shape| std::ptr::eq(shape.type_name, type_name);
        self.known.iter().position(fits).map(|index| index as u32)
    }

    /// Finds a shape that begins as `shape` does and goes on with `name` at `index`, where `shape` does not.
    pub(crate) fn guess_again(&self, shape: u32, index: usize, name: &str) -> Option<u32> {
        let before = &self.known[shape as usize].fields[..index];
        let fits = |shape: &Shape| {
            shape.fields.get(index).is_some_and(|field| field == name) && shape.fields[..index] == *before
        };
        self.known.iter().position(fits).map(|index| index as u32)
    }

    /// Says whether the field at `index` of `shape` is called `name`.
    #[inline]
    pub(crate) fn field_is(&self, shape: u32, index: usize, name: &'static str) -> bool {
        let field = self.known[shape as usize].fields.get(index);
        field.is_some_and(|field| std::ptr::eq::<str>(&raw const **field, name) || field == name)
    }

    #[inline]
    pub(crate) fn field_count(&self, shape: u32) -> usize {
        self.known[shape as usize].fields.len()
    }

    /// The first `count` names of `shape`.
    pub(crate) fn fields(&self, shape: u32, count: usize) -> Vec<Cow<'static, str>> {
        self.known[shape as usize].fields[..count].to_vec()
    }

    /// Finds the shape with these names, or learns it.
    pub(crate) fn learn(&mut self, type_name: &'static str, fields: Vec<Cow<'static, str>>) -> u32 {
        if let Some(index) = self.known.iter().position(|shape| shape.fields == fields) {
            self.known[index].type_name = type_name;
            return index as u32;
        }
        self.known.push(Shape { fields, type_name });
        (self.known.len() - 1) as u32
    }

    /// Writes the number of `shape` in the innermost scope, and its definition if it has none there yet.
    #[inline]
    pub(crate) fn put_reference(&mut self, buffer: &mut Vec<u8>, shape: u32) {
        let own = &self.defined[self.scope..];
        if let Some(number) = own.iter().position(|defined| *defined == shape) {
            put_length(buffer, number);
        } else {
            put_length(buffer, own.len());
            self.define(buffer, shape);
        }
    }

    #[cold]
    fn define(&mut self, buffer: &mut Vec<u8>, shape: u32) {
        let fields = &self.known[shape as usize].fields;
        put_length(buffer, fields.len());
        fields.iter().for_each(|name| put_text(buffer, name));
        self.defined.push(shape);
    }

    /// Opens a scope inside the present one, and gives what [`leave_scope`](Self::leave_scope) needs.
    pub(crate) fn enter_scope(&mut self) -> usize {
        std::mem::replace(&mut self.scope, self.defined.len())
    }

    /// Forgets the definitions of the innermost scope.
    pub(crate) fn clear_scope(&mut self) {
        self.defined.truncate(self.scope);
    }

    pub(crate) fn leave_scope(&mut self, outer: usize) {
        self.clear_scope();
        self.scope = outer;
    }

    /// Begins a chunk.
    pub(crate) fn begin_chunk(&mut self) {
        self.defined.clear();
        self.scope = 0;
        if self.known.len() > SHAPES_KEPT_MAX {
            self.known.clear();
        }
    }

    pub(crate) fn mark(&self) -> usize {
        self.defined.len()
    }

    pub(crate) fn rewind(&mut self, mark: usize) {
        self.defined.truncate(mark);
        self.scope = 0;
    }
}
