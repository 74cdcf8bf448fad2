//! The attribute macros of flame-actor, which documents and re-exports them.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::ToTokens;

mod remote;
mod signature;
mod task;

/// Makes a message deliverable to an actor from another node.
#[proc_macro_attribute]
pub fn remote(list: TokenStream, item: TokenStream) -> TokenStream {
    beside(item.into(), |item| remote::expand(list.into(), item))
}

/// Makes a function a task.
#[proc_macro_attribute]
pub fn task(list: TokenStream, item: TokenStream) -> TokenStream {
    beside(item.into(), |item| task::expand(list.into(), item))
}

/// The item as it was written, with what is made from it, or with the error: whatever else uses the item must not fail
/// as well.
fn beside(item: Tokens, expand: impl FnOnce(Tokens) -> syn::Result<Tokens>) -> TokenStream {
    let mut tokens = item.clone();
    expand(item).unwrap_or_else(|error| error.to_compile_error()).to_tokens(&mut tokens);
    tokens.into()
}

/// The `#[cfg]`s of an item, which hold for everything that is made from it.
fn cfgs(attributes: &[syn::Attribute]) -> Vec<&syn::Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect()
}
