//! `task_fn!`: a task of a few lines in place.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, Block, Error, Expr, ExprBlock, ExprClosure, Ident, Pat, Result, Type};

use crate::{failure, task};

/// A function with the closure's parameters and body, made a task, and called with the variables of their names.
pub(crate) fn expand(input: TokenStream) -> Result<TokenStream> {
    let (maps_failure, input) = failure::option(input);
    let closure: ExprClosure = syn::parse2(input).map_err(|error| {
        Error::new(
            error.span(),
            format!("{error}: `task_fn!` takes a closure with types, `|img: Bytes, w: u32| -> R {{ … }}`"),
        )
    })?;
    refuse_what_no_function_has(&closure)?;
    let parameters = closure.inputs.iter().map(Parameter::of).collect::<Result<Vec<_>>>()?;
    let body = block(&closure)?;
    let (asyncness, output) = (&closure.asyncness, &closure.output);
    let declared = parameters
        .iter()
        .map(|Parameter { attributes, pattern, ty, .. }| quote!(#(#attributes)* #pattern: #ty));
    let captured = parameters.iter().map(|parameter| parameter.name);
    // Unseen by the user's code, and for the logs.
    let name = Ident::new("task_fn", Span::mixed_site());
    let function = quote!(#asyncness fn #name(#(#declared),*) #output #body);
    let beside = task::expand(TokenStream::new(), function.clone(), maps_failure)?;
    Ok(quote!({
        #function
        #beside
        #name::task(#(#captured),*)
    }))
}

struct Parameter<'a> {
    attributes: &'a [Attribute],
    /// The name, maybe with `mut`.
    pattern: &'a Pat,
    name: &'a Ident,
    ty: &'a Type,
}

impl<'a> Parameter<'a> {
    fn of(input: &'a Pat) -> Result<Self> {
        let Pat::Type(typed) = input else {
            return Err(Error::new_spanned(
                input,
                "what the block captures travels to another node: write its type, `name: Type`",
            ));
        };
        match &*typed.pat {
            Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => Ok(Self {
                attributes: &typed.attrs,
                pattern: &typed.pat,
                name: &pattern.ident,
                ty: &typed.ty,
            }),
            pattern => Err(Error::new_spanned(
                pattern,
                "the block captures the variable of this name: write a plain `name: Type` here and take it apart inside",
            )),
        }
    }
}

fn refuse_what_no_function_has(closure: &ExprClosure) -> Result<()> {
    if let Some(lifetimes) = &closure.lifetimes {
        return Err(Error::new_spanned(
            lifetimes,
            "the block owns what it captures: there is nothing to borrow for",
        ));
    }
    if let Some(word) = &closure.movability {
        return Err(Error::new_spanned(word, "`static` is for generators: leave it out"));
    }
    if let Some(word) = &closure.constness {
        return Err(Error::new_spanned(word, "a task is not `const`: leave it out"));
    }
    Ok(())
}

/// The body; with a return type, Rust itself wants it in braces.
fn block(closure: &ExprClosure) -> Result<&Block> {
    match &*closure.body {
        Expr::Block(ExprBlock { block, label: None, attrs }) if attrs.is_empty() => Ok(block),
        body => Err(Error::new_spanned(
            body,
            "an expression without braces has a type that `task_fn!` cannot know: write `|…| -> Type { … }`",
        )),
    }
}
