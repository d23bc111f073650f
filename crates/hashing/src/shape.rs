//! Shapes: the field names of a struct, in order, written once and then referred to.
//!
//! Shapes are kept as a tree of names: a node is the list of names on the way to it, so that following a struct's
//! fields as they come, one comparison each, ends at its shape. Node numbers never reach the bytes. Whether a *chunk*
//! has defined a shape already is the matter of the current scope: a scope is a chunk, or the key or the value of a
//! map's entry, and its definitions are numbered from 0 in the order in which they were written.

use std::borrow::Cow;

use crate::buffer::Buffer;
use crate::encoder::{put_length, put_text, tag};

/// How many nodes are remembered from one chunk to the next.
const NODES_KEPT_MAX: usize = 4096;

/// How many of the first nodes have their usual next name at hand.
const NODES_AT_HAND: usize = 64;

/// A list of field names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape(u32);

/// A shape that was found before, and the tree it is in.
#[cfg(feature = "arrow")]
pub(crate) type KnownShape = std::cell::Cell<Option<(u64, Shape)>>;

/// No names: where every struct begins.
pub(crate) const EMPTY: Shape = Shape(0);

#[derive(Clone, Debug)]
struct Node {
    name: Cow<'static, str>,
    parent: Shape,
    /// The node that was made last under this one, and the one that was made under the same parent before this.
    last_child: Option<Shape>,
    elder_sibling: Option<Shape>,
}

#[derive(Clone, Debug)]
pub(crate) struct Shapes {
    nodes: Vec<Node>,
    /// For each of the first nodes, where in the program's memory the name is of the node made next, if that is its
    /// child, and how long it is; the same place and length are the same name. This is the way that most structs go.
    next_places: [usize; NODES_AT_HAND],
    next_lengths: [usize; NODES_AT_HAND],
    /// How many trees there were before this one.
    #[cfg(feature = "arrow")]
    tree: u64,
    /// The shapes defined in the open scopes, the innermost last.
    defined: Vec<Shape>,
    /// Where the innermost scope begins in `defined`.
    scope: usize,
    /// How many scopes are open within the outermost.
    inner_scopes: usize,
    /// Whether the outermost scope's names are written elsewhere: see [`RowHasher`](crate::RowHasher).
    names_apart: bool,
}

impl Default for Shapes {
    fn default() -> Self {
        let root = Node { name: Cow::Borrowed(""), parent: EMPTY, last_child: None, elder_sibling: None };
        Self {
            nodes: vec![root],
            next_places: [0; NODES_AT_HAND],
            next_lengths: [0; NODES_AT_HAND],
            #[cfg(feature = "arrow")]
            tree: 0,
            defined: Vec::new(),
            scope: 0,
            inner_scopes: 0,
            names_apart: false,
        }
    }
}

impl Shapes {
    /// Shapes whose names, in the outermost scope, are not written where they are defined.
    pub(crate) fn with_names_apart() -> Self {
        Self { names_apart: true, ..Self::default() }
    }

    /// The shapes that are defined in the outermost scope, in order.
    pub(crate) fn defined(&self) -> &[Shape] {
        &self.defined
    }

    /// Goes from a shape to the one with one name more.
    #[inline(always)]
    pub(crate) fn extend(&mut self, shape: Shape, name: &'static str) -> Shape {
        let index = shape.0 as usize;
        if index < NODES_AT_HAND
            && self.next_places[index] == name.as_ptr().addr()
            && self.next_lengths[index] == name.len()
        {
            return Shape(shape.0 + 1);
        }
        self.find_child(shape, name, |_| Cow::Borrowed(name))
    }

    /// Finds the shape with these names, at once if `known` still says which it is.
    #[cfg(feature = "arrow")]
    pub(crate) fn recall<'n, N: Iterator<Item = &'n str>>(
        &mut self,
        known: &KnownShape,
        names: impl FnOnce() -> N,
    ) -> Shape {
        if let Some((tree, shape)) = known.get()
            && tree == self.tree
        {
            return shape;
        }
        let shape =
            names().fold(EMPTY, |shape, name| self.find_child(shape, name, |name| name.to_owned().into()));
        known.set(Some((self.tree, shape)));
        shape
    }

    #[cold]
    #[inline(never)]
    fn find_child<'n>(
        &mut self,
        shape: Shape,
        name: &'n str,
        own: impl FnOnce(&'n str) -> Cow<'static, str>,
    ) -> Shape {
        let mut child = self.nodes[shape.0 as usize].last_child;
        while let Some(found) = child {
            let node = &self.nodes[found.0 as usize];
            if is_same(&node.name, name) {
                return found;
            }
            child = node.elder_sibling;
        }
        self.make_child(shape, own(name))
    }

    #[cold]
    fn make_child(&mut self, parent: Shape, name: Cow<'static, str>) -> Shape {
        let child = Shape(self.nodes.len() as u32);
        let elder_sibling = self.nodes[parent.0 as usize].last_child.replace(child);
        if let Cow::Borrowed(name) = name
            && child.0 == parent.0 + 1
            && (parent.0 as usize) < NODES_AT_HAND
        {
            self.next_places[parent.0 as usize] = name.as_ptr().addr();
            self.next_lengths[parent.0 as usize] = name.len();
        }
        self.nodes.push(Node { name, parent, last_child: None, elder_sibling });
        child
    }

    /// Ends a struct: writes the number of `shape` in the innermost scope, and its definition if it has none there yet.
    #[inline]
    pub(crate) fn end_struct(&mut self, buffer: &mut Buffer, at: usize, shape: Shape) -> usize {
        if self.defined.get(self.scope) == Some(&shape) {
            return buffer.put_tagged(at, tag::END, [0]);
        }
        self.end_other_struct(buffer, at, shape)
    }

    fn end_other_struct(&mut self, buffer: &mut Buffer, at: usize, shape: Shape) -> usize {
        let own = &self.defined[self.scope..];
        match own.iter().position(|defined| *defined == shape) {
            Some(number) => {
                let at = buffer.put(at, tag::END);
                put_length(buffer, at, number)
            }
            None => {
                let at = buffer.put(at, tag::END);
                let at = put_length(buffer, at, self.defined.len() - self.scope);
                self.defined.push(shape);
                if self.names_apart && self.inner_scopes == 0 {
                    at
                } else {
                    self.put_names(buffer, at, shape)
                }
            }
        }
    }

    /// Writes how many names a shape has, and these.
    #[cold]
    pub(crate) fn put_names(&self, buffer: &mut Buffer, at: usize, shape: Shape) -> usize {
        let mut path = Vec::new();
        let mut node = shape;
        while node != EMPTY {
            path.push(node);
            node = self.nodes[node.0 as usize].parent;
        }
        let at = put_length(buffer, at, path.len());
        path.iter().rev().fold(at, |at, node| put_text(buffer, at, &self.nodes[node.0 as usize].name))
    }

    /// Opens a scope inside the present one, and gives what [`leave_scope`](Self::leave_scope) needs.
    pub(crate) fn enter_scope(&mut self) -> usize {
        self.inner_scopes += 1;
        std::mem::replace(&mut self.scope, self.defined.len())
    }

    /// Forgets the definitions of the innermost scope.
    pub(crate) fn clear_scope(&mut self) {
        self.defined.truncate(self.scope);
    }

    pub(crate) fn leave_scope(&mut self, outer: usize) {
        self.clear_scope();
        self.scope = outer;
        self.inner_scopes -= 1;
    }

    /// Begins a chunk. Answers whether shapes that were kept from before still mean what they did.
    pub(crate) fn begin_chunk(&mut self) -> bool {
        self.defined.clear();
        self.scope = 0;
        let are_kept = self.nodes.len() <= NODES_KEPT_MAX;
        if !are_kept {
            self.nodes.truncate(1);
            self.next_places = [0; NODES_AT_HAND];
            self.nodes[0].last_child = None;
            #[cfg(feature = "arrow")]
            {
                self.tree += 1;
            }
        }
        are_kept
    }

    pub(crate) fn mark(&self) -> usize {
        self.defined.len()
    }

    pub(crate) fn rewind(&mut self, mark: usize) {
        self.defined.truncate(mark);
        self.scope = 0;
        self.inner_scopes = 0;
    }
}

/// Names of one program mostly are the same text in memory.
#[inline(always)]
fn is_same(known: &str, name: &str) -> bool {
    std::ptr::eq(known, name) || known == name
}
