//! The attribute macros of flame-actor, which documents and re-exports them.

use proc_macro::TokenStream;
use proc_macro2::{Group, Span, TokenStream as Tokens, TokenTree};
use quote::ToTokens;

mod block;
mod failure;
mod remote;
mod signature;
mod task;

/// Makes a message deliverable to an actor from another node.
#[proc_macro_attribute]
pub fn remote(list: TokenStream, item: TokenStream) -> TokenStream {
    let (maps_failure, list) = failure::option(list.into());
    let item = Tokens::from(item);
    let item = if maps_failure { failure::map(item) } else { item };
    beside(item, |item| remote::expand(list, item, maps_failure))
}

/// Makes a function a task.
#[proc_macro_attribute]
pub fn task(list: TokenStream, item: TokenStream) -> TokenStream {
    let (maps_failure, list) = failure::option(list.into());
    beside(item.into(), |item| task::expand(list, item, maps_failure))
}

/// Makes a task of a few lines in place.
#[proc_macro]
pub fn task_fn(closure: TokenStream) -> TokenStream {
    block::expand(closure.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// The item as it was written, with what is made from it, or with the error: whatever else uses the item must not fail
/// as well.
fn beside(item: Tokens, expand: impl FnOnce(Tokens) -> syn::Result<Tokens>) -> TokenStream {
    let mut tokens = item.clone();
    expand(item).unwrap_or_else(|error| error.to_compile_error()).to_tokens(&mut tokens);
    tokens.into()
}

/// The user's tokens as the macro's own, at the places where they were written.
///
/// Lints on names, visibility and the like look at who wrote something. They have seen the user's function, and are not
/// to see what repeats it; an `#[allow]` would not do, because it does not compile under a `#![forbid]`.
fn repeated(tokens: impl ToTokens) -> Tokens {
    let tokens = tokens.into_token_stream().into_iter().map(|mut token| {
        if let TokenTree::Group(group) = &token {
            token = Group::new(group.delimiter(), repeated(group.stream())).into();
        }
        token.set_span(Span::call_site().located_at(token.span()));
        token
    });
    tokens.collect()
}

/// The `#[cfg]`s of an item, which hold for everything that is made from it.
fn cfgs(attributes: &[syn::Attribute]) -> Vec<&syn::Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect()
}
