//! The option `failure` of the attributes.

use proc_macro2::{TokenStream, TokenTree};
use syn::{ImplItem, ItemImpl, ReturnType, parse_quote};

/// Whether a list begins with `failure` and maybe a comma, and the rest of it.
pub(crate) fn option(list: TokenStream) -> (bool, TokenStream) {
    let mut rest = list.clone().into_iter().peekable();
    if !matches!(rest.next(), Some(TokenTree::Ident(word)) if word == "failure") {
        return (false, list);
    }
    let is_comma = |next: &TokenTree| matches!(next, TokenTree::Punct(comma) if comma.as_char() == ',');
    rest.next_if(is_comma);
    (true, rest.collect())
}

/// The handler with its body as it is, and its result mapped. Anything but a handler is left alone: what is wrong with it
/// is told elsewhere.
pub(crate) fn map(item: TokenStream) -> TokenStream {
    let Ok(mut handler) = syn::parse2::<ItemImpl>(item.clone()) else { return item };
    let mut items = handler.items.iter_mut();
    let Some(own) = items.find_map(|item| match item {
        ImplItem::Type(result) if result.ident == "Result" => Some(&mut result.ty),
        _ => None,
    }) else {
        return item;
    };
    let result = own.clone();
    *own = parse_quote!(<#result as ::flame_actor::__private::MapFailure>::Mapped);
    for item in &mut handler.items {
        let ImplItem::Fn(handle) = item else { continue };
        if handle.sig.ident != "handle" {
            continue;
        }
        // A closure, so that `return` and `?` in the body mean what they meant.
        let body = &handle.block;
        handle.block = parse_quote!({
            ::flame_actor::__private::MapFailure::mapped((move || -> #result #body)())
        });
        if let ReturnType::Type(_, ty) = &mut handle.sig.output {
            **ty = parse_quote!(Self::Result);
        }
    }
    quote::quote!(#handler)
}
