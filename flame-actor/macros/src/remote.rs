//! `#[remote]` on `impl Handler<M> for A`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Error, GenericArgument, ItemImpl, PathArguments, Result, Token, Type, TypePath,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
    spanned::Spanned,
};

use crate::cfgs;

pub(crate) fn expand(list: TokenStream, item: TokenStream, maps_failure: bool) -> Result<TokenStream> {
    let handler: ItemImpl = syn::parse2(item)
        .map_err(|_| Error::new(Span::call_site(), "`#[remote]` goes on an `impl Handler<M> for A`"))?;
    let message = message_of(&handler)?;
    let pairs = pairs(list, &handler, message)?;
    let cfgs = cfgs(&handler.attrs);
    Ok(pairs.iter().map(|pair| register(pair, &cfgs, maps_failure)).collect())
}

/// An actor and one of its messages, both concrete types.
struct Pair {
    actor: Type,
    message: Type,
}

impl Parse for Pair {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let actor = input.parse()?;
        let _: Token![:] = input.parse()?;
        Ok(Self { actor, message: input.parse()? })
    }
}

/// The `M` of `impl Handler<M> for A`.
fn message_of(handler: &ItemImpl) -> Result<&Type> {
    let Some((_, path, _)) = &handler.trait_ else {
        return Err(Error::new_spanned(
            &handler.self_ty,
            "`#[remote]` goes on an `impl Handler<M> for A`, one for each message: an inherent impl handles none",
        ));
    };
    let message =
        path.segments.last().filter(|last| last.ident == "Handler").and_then(|last| match &last.arguments {
            PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
                Some(GenericArgument::Type(message)) if arguments.args.len() == 1 => Some(message),
                _ => None,
            },
            _ => None,
        });
    message.ok_or_else(|| {
        Error::new_spanned(
            path,
            "`#[remote]` goes on an `impl Handler<M> for A`, not on an impl of another trait",
        )
    })
}

fn pairs(list: TokenStream, handler: &ItemImpl, message: &Type) -> Result<Vec<Pair>> {
    let actor = &*handler.self_ty;
    let listed = Punctuated::<Pair, Token![,]>::parse_terminated.parse2(list.clone()).map_err(|error| {
        Error::new(
            error.span(),
            format!("{error}: list pairs of types, `#[remote(A<u32>: M<u32>, A<String>: M<String>)]`"),
        )
    })?;
    match (handler.generics.params.is_empty(), listed.is_empty()) {
        (true, true) => Ok(vec![Pair { actor: actor.clone(), message: message.clone() }]),
        (false, false) => Ok(listed.into_iter().collect()),
        (false, true) => Err(Error::new_spanned(
            &handler.generics,
            format!(
                "another node can find a generic handler only by concrete types: list them, `#[remote({}: {}, …)]`",
                example(actor),
                example(message),
            ),
        )),
        (true, false) => Err(Error::new_spanned(
            list,
            "this handler is not generic, so there is nothing to list: write `#[remote]`",
        )),
    }
}

/// A type as its concrete version might be listed: `Cache<T>` as `Cache<u32>`.
fn example(ty: &Type) -> String {
    let Type::Path(TypePath { path, .. }) = ty else { return "A<u32>".into() };
    let Some(last) = path.segments.last() else { return "A<u32>".into() };
    let parameters = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => arguments.args.len(),
        _ => 0,
    };
    match parameters {
        0 => last.ident.to_string(),
        n => format!("{}<{}>", last.ident, vec!["u32"; n].join(", ")),
    }
}

fn register(Pair { actor, message }: &Pair, cfgs: &[&syn::Attribute], maps_failure: bool) -> TokenStream {
    // Bounds that do not hold are reported where the user wrote the message.
    let header = quote_spanned!(message.span()=> impl ::flame_actor::RemoteMessage<#actor> for);
    let check = maps_failure.then(|| {
        quote_spanned!(message.span()=> const _: fn() = ::flame_actor::__private::failure_result::<#message>;)
    });
    quote! {
        #(#cfgs)*
        #check

        #(#cfgs)*
        #[automatically_derived]
        #header #message {
            fn method() -> ::core::result::Result<
                ::flame_actor::__private::MethodId,
                &'static ::flame_actor::RegistryError,
            > {
                static CACHE: ::flame_actor::__private::MethodCache = ::flame_actor::__private::MethodCache::new();
                CACHE.method::<#actor, #message>()
            }
        }

        #(#cfgs)*
        const _: () = {
            fn place() -> ::core::option::Option<::flame_actor::__private::PlaceFn> {
                use ::flame_actor::__private::{NotPlaceable as _, Placeable as _};
                (&::flame_actor::__private::Probe::<#actor>::new()).place()
            }
            ::flame_actor::__private::inventory::submit! {
                ::flame_actor::__private::HandlerEntry::of::<#actor, #message>(place)
            }
        };
    }
}
