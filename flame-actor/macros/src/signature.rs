//! The function that `#[task]` stands on, checked for what can travel.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Error, FnArg, GenericParam, Generics, Ident, ItemFn, Lifetime, Pat, Result, ReturnType, Token, Type,
    TypeBareFn, TypeImplTrait, TypeParamBound, TypeReference, WherePredicate,
    punctuated::Punctuated,
    spanned::Spanned,
    visit::{self, Visit},
};

/// What a task needs to know of its function.
pub(crate) struct Signature {
    pub(crate) arguments: Vec<Argument>,
    /// The type that the function returns.
    pub(crate) output: TokenStream,
    /// Where that type begins and ends.
    pub(crate) output_span: (Span, Span),
    /// The function's own without its lifetimes, which an owned value has no use for.
    pub(crate) generics: Generics,
    pub(crate) is_async: bool,
}

/// One argument, as the task holds it.
pub(crate) struct Argument {
    /// Its field and parameter name.
    pub(crate) name: Ident,
    /// The owned type: that of the function, or the `ToOwned` of a reference.
    pub(crate) owned: TokenStream,
    /// Whether the function takes a reference to it.
    pub(crate) is_borrowed: bool,
    /// The user's type in the source.
    pub(crate) span: Span,
}

impl Signature {
    pub(crate) fn of(function: &ItemFn) -> Result<Self> {
        let signature = &function.sig;
        let refuse = |span: Span, what: &str| Err(Error::new(span, what));
        if let Some(keyword) = &signature.unsafety {
            return refuse(
                keyword.span,
                "a task cannot be `unsafe`: nobody on the other node can promise its conditions",
            );
        }
        if let Some(abi) = &signature.abi {
            return refuse(abi.span(), "a task is an ordinary Rust function, without `extern`");
        }
        if let Some(dots) = &signature.variadic {
            return refuse(dots.span(), "a task has a fixed number of arguments");
        }
        let mut arguments = Vec::with_capacity(signature.inputs.len());
        for input in &signature.inputs {
            let name = format_ident!("arg{}", arguments.len());
            arguments.push(Argument::of(input, name)?);
        }
        name_apart(&mut arguments);
        let (output, output_span) = output(&signature.output, signature.fn_token.span)?;
        Ok(Self {
            arguments,
            output,
            output_span,
            generics: without_lifetimes(&signature.generics),
            is_async: signature.asyncness.is_some(),
        })
    }
}

impl Argument {
    fn of(input: &FnArg, fallback: Ident) -> Result<Self> {
        let typed = match input {
            FnArg::Typed(typed) => typed,
            FnArg::Receiver(receiver) => {
                return Err(Error::new_spanned(
                    receiver,
                    "a task has no `self`: write a free function that takes the value as an argument",
                ));
            }
        };
        if let Some(cfg) = crate::cfgs(&typed.attrs).first() {
            return Err(Error::new_spanned(
                cfg,
                "an argument of a task is always there: put the `#[cfg]` on the function",
            ));
        }
        let name = match &*typed.pat {
            Pat::Ident(pattern) => pattern.ident.clone(),
            _ => fallback,
        };
        let (owned, is_borrowed) = match &*typed.ty {
            Type::Reference(reference) => {
                let target = borrowed_target(reference)?;
                let owned = quote_spanned!(target.span()=> <#target as ::std::borrow::ToOwned>::Owned);
                (owned, true)
            }
            ty => {
                travels(ty, "a task owns its arguments")?;
                (quote!(#ty), false)
            }
        };
        Ok(Self { name, owned, is_borrowed, span: typed.ty.span() })
    }
}

/// The `T` of `&T`.
fn borrowed_target(reference: &TypeReference) -> Result<&Type> {
    if let Some(mutability) = &reference.mutability {
        return Err(Error::new_spanned(
            mutability,
            "a task cannot take `&mut`: its arguments are copies on another node. Take the value and return it",
        ));
    }
    if let Some(lifetime) = reference.lifetime.as_ref().filter(|lifetime| lifetime.ident == "static") {
        return Err(Error::new_spanned(
            lifetime,
            "a task cannot borrow for `'static`: what arrives on another node is lent for the call only. Leave `'static` out",
        ));
    }
    travels(&reference.elem, "a task owns what its arguments refer to")?;
    Ok(&reference.elem)
}

fn output(output: &ReturnType, instead: Span) -> Result<(TokenStream, (Span, Span))> {
    match output {
        ReturnType::Default => Ok((quote!(()), (instead, instead))),
        ReturnType::Type(_, ty) => {
            travels(ty, "the output of a task travels by value")?;
            let mut tokens = quote!(#ty).into_iter();
            let first = tokens.next().map_or(instead, |token| token.span());
            let last = tokens.last().map_or(first, |token| token.span());
            Ok((quote!(#ty), (first, last)))
        }
    }
}

/// Refuses types that borrow or have no name.
fn travels(ty: &Type, why: &str) -> Result<()> {
    struct Search<'a> {
        why: &'a str,
        found: Result<()>,
    }
    impl Search<'_> {
        fn refuse(&mut self, what: &dyn quote::ToTokens, message: String) {
            if self.found.is_ok() {
                self.found = Err(Error::new_spanned(what, message));
            }
        }
    }
    impl<'ast> Visit<'ast> for Search<'_> {
        fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
            let message = format!("{}: use an owned type in place of this reference", self.why);
            self.refuse(reference, message);
        }
        fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
            if lifetime.ident != "static" {
                let message = format!("{}: use a type without this lifetime", self.why);
                self.refuse(lifetime, message);
            }
        }
        fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
            let message =
                "a task cannot have `impl Trait`: name a type that can be serialised and deserialised";
            self.refuse(ty, message.into());
        }
        // Its lifetimes are its own.
        fn visit_type_bare_fn(&mut self, _: &'ast TypeBareFn) {}
    }
    let mut search = Search { why, found: Ok(()) };
    search.visit_type(ty);
    search.found
}

/// Arguments without a name of their own are called `arg0`, …, unless another one already is.
fn name_apart(arguments: &mut [Argument]) {
    for index in 1..=arguments.len() {
        let (before, rest) = arguments.split_at_mut(index);
        let Some(last) = before.last().map(|argument| argument.name.clone()) else { continue };
        for other in rest.iter_mut().filter(|other| other.name == last) {
            other.name = format_ident!("{}_{index}", last);
        }
    }
}

/// The types and constants, with the bounds that hold without the lifetimes.
fn without_lifetimes(generics: &Generics) -> Generics {
    let lifetimes: Vec<&Ident> = generics.lifetimes().map(|lifetime| &lifetime.lifetime.ident).collect();
    let mut kept = generics.clone();
    kept.params =
        generics.params.iter().filter(|p| !matches!(p, GenericParam::Lifetime(_))).cloned().collect();
    for parameter in kept.type_params_mut() {
        parameter.bounds = bounds_without(&lifetimes, &parameter.bounds);
    }
    if let Some(clause) = &mut kept.where_clause {
        let free = |predicate: &&WherePredicate| {
            !mentions(&lifetimes, |search| search.visit_where_predicate(predicate))
        };
        clause.predicates = clause.predicates.iter().filter(free).cloned().collect();
    }
    kept
}

fn bounds_without(
    lifetimes: &[&Ident],
    bounds: &Punctuated<TypeParamBound, Token![+]>,
) -> Punctuated<TypeParamBound, Token![+]> {
    let free = |bound: &&TypeParamBound| !mentions(lifetimes, |search| search.visit_type_param_bound(bound));
    bounds.iter().filter(free).cloned().collect()
}

fn mentions(lifetimes: &[&Ident], visit: impl FnOnce(&mut Mentions<'_>)) -> bool {
    let mut search = Mentions { lifetimes, found: false };
    visit(&mut search);
    search.found
}

struct Mentions<'a> {
    lifetimes: &'a [&'a Ident],
    found: bool,
}

impl<'ast> Visit<'ast> for Mentions<'_> {
    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        self.found |= self.lifetimes.contains(&&lifetime.ident);
        visit::visit_lifetime(self, lifetime);
    }
}
