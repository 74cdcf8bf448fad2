//! `#[task]` on a function.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Attribute, Error, GenericArgument, GenericParam, Ident, ItemFn, Result, Token,
    parse::{ParseStream, Parser},
    punctuated::Punctuated,
    spanned::Spanned,
};

use crate::{
    cfgs, repeated,
    signature::{Argument, Signature},
};

pub(crate) fn expand(list: TokenStream, item: TokenStream, maps_failure: bool) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item).map_err(|_| {
        Error::new(Span::call_site(), "`#[task]` goes on a free `fn` or `async fn` with a body")
    })?;
    let signature = Signature::of(&function)?;
    let instances = instances(list, &function, &signature)?;
    let cfgs = cfgs(&function.attrs);
    Ok(Task { function: &function, signature, cfgs, maps_failure }.expand(&instances))
}

struct Task<'a> {
    function: &'a ItemFn,
    signature: Signature,
    cfgs: Vec<&'a Attribute>,
    /// Whether the function's error travels as a `Failure`.
    maps_failure: bool,
}

/// The generic arguments of one concrete version of the function, with their brackets; nothing if it has none.
type Instance = TokenStream;

impl Task<'_> {
    /// A struct that has the function's name in the type namespace, as the function has it in the value namespace: one
    /// `use` imports both. It has fields in braces, because a tuple struct would need the value namespace too.
    fn expand(&self, instances: &[Instance]) -> TokenStream {
        let Self { function, signature, cfgs, .. } = self;
        let (name, visibility) = (repeated(&function.sig.ident), repeated(&function.vis));
        let generics = &signature.generics;
        let where_clause = &generics.where_clause;
        let fields = signature.arguments.iter().map(|Argument { name, owned, .. }| quote!(#name: #owned));
        let phantom = self.phantom_type();
        let output = self.signature();
        let constructor = self.constructor();
        let instances = instances.iter().map(|instance| self.instance(instance));
        quote! {
            #(#cfgs)*
            #[doc(hidden)]
            #[must_use = "a task runs only when a pool is asked to call it"]
            #visibility struct #name #generics #where_clause { #(#fields,)* #phantom }

            #(#cfgs)*
            const _: () = {
                #output
                #constructor
                #(#instances)*
            };
        }
    }

    /// The function's return type under a name that a concrete version can use: the compiler puts its arguments in.
    fn signature(&self) -> TokenStream {
        let name = &self.function.sig.ident;
        let (parameters, arguments, where_clause) = self.signature.generics.split_for_impl();
        let output = &self.signature.output;
        quote! {
            #[automatically_derived]
            impl #parameters ::flame_actor::__private::Signature for #name #arguments #where_clause {
                type Output = #output;
            }
        }
    }

    fn constructor(&self) -> TokenStream {
        let (name, visibility) = (&self.function.sig.ident, repeated(&self.function.vis));
        let (parameters, arguments, where_clause) = self.signature.generics.split_for_impl();
        let names: Vec<_> =
            self.signature.arguments.iter().map(|argument| repeated(&argument.name)).collect();
        let owned = self.signature.arguments.iter().map(|argument| &argument.owned);
        let phantom = self.phantom_value();
        // The one lint that looks through `repeated`.
        let many = (names.len() > 7).then(|| quote!(#[allow(clippy::too_many_arguments)]));
        quote! {
            impl #parameters #name #arguments #where_clause {
                #[doc(hidden)]
                #[inline]
                #many
                #visibility fn task(#(#names: #owned),*) -> Self {
                    Self { #(#names,)* #phantom }
                }
            }
        }
    }

    /// One concrete version: its arguments travel as a tuple.
    fn instance(&self, instance: &Instance) -> TokenStream {
        let path = self.function.sig.ident.to_string();
        let task = self.named_at(instance);
        let fields: Vec<_> = self.signature.arguments.iter().map(|argument| &argument.name).collect();
        let locals: Vec<_> = self.signature.arguments.iter().enumerate().map(local).collect();
        let count = fields.len();
        let mutable = (count > 0).then(|| quote!(mut));
        let is_deprecated =
            self.function.attrs.iter().any(|attribute| attribute.path().is_ident("deprecated"));
        let deprecated = is_deprecated.then(|| quote!(#[allow(deprecated)]));
        let output = self.output(&task);
        let start = self.start(instance, &locals);
        // What fails for one argument is reported where the user wrote its type.
        let arguments = Ident::new("arguments", Span::mixed_site());
        let each = || self.signature.arguments.iter().zip(&locals);
        let write = each().map(|(of, local)| quote_spanned!(of.span=> #arguments.next(#local)?;));
        let read = each().map(|(of, local)| quote_spanned!(of.span=> let #local = #arguments.next()?;));
        quote! {
            #[automatically_derived]
            impl ::flame_actor::__private::serde::Serialize for #task {
                fn serialize<__S: ::flame_actor::__private::serde::Serializer>(
                    &self,
                    serializer: __S,
                ) -> ::core::result::Result<__S::Ok, __S::Error> {
                    let Self { #(#fields: #locals,)* .. } = self;
                    let #mutable #arguments = ::flame_actor::__private::WriteArguments::<__S>::new(serializer, #count)?;
                    #(#write)*
                    #arguments.end()
                }
            }

            #[automatically_derived]
            impl<'__de> ::flame_actor::__private::serde::Deserialize<'__de> for #task {
                fn deserialize<__D: ::flame_actor::__private::serde::Deserializer<'__de>>(
                    deserializer: __D,
                ) -> ::core::result::Result<Self, __D::Error> {
                    ::flame_actor::__private::read_arguments(deserializer)
                }
            }

            #[automatically_derived]
            impl ::flame_actor::__private::FromArguments for #task {
                const COUNT: usize = #count;
                fn from_arguments<'__de, __A: ::flame_actor::__private::serde::de::SeqAccess<'__de>>(
                    #mutable #arguments: ::flame_actor::__private::ReadArguments<__A>,
                ) -> ::core::result::Result<Self, __A::Error> {
                    #(#read)*
                    let _ = #arguments;
                    ::core::result::Result::Ok(Self::task(#(#locals),*))
                }
            }

            #[automatically_derived]
            impl ::flame_actor::Task for #task {
                #output
                const NAME: &'static str = ::core::concat!(::core::module_path!(), "::", #path);
                #deprecated
                fn run(self) -> ::flame_actor::TaskRun<Self::Output> {
                    let Self { #(#fields: #locals,)* .. } = self;
                    #start
                }
            }

            ::flame_actor::__private::inventory::submit! {
                ::flame_actor::__private::TaskEntry::of::<#task>()
            }
        }
    }

    /// The type of a concrete version; that of a generic function has the place where it is listed.
    fn named_at(&self, instance: &Instance) -> TokenStream {
        let mut name = self.function.sig.ident.clone();
        if !instance.is_empty() {
            name.set_span(name.span().located_at(instance.span()));
        }
        quote!(#name #instance)
    }

    /// The associated type, with the place of the function's return type from its first to its last token.
    fn output(&self, task: &TokenStream) -> TokenStream {
        let (first, last) = self.signature.output_span;
        let signature = quote_spanned!(first=> <#task as ::flame_actor::__private::Signature>);
        let output = quote_spanned!(last=> Output);
        if self.maps_failure {
            return quote_spanned! {first=>
                type Output = <#signature::#output as ::flame_actor::__private::MapFailure>::Mapped;
            };
        }
        quote!(type Output = #signature::#output;)
    }

    fn start(&self, instance: &Instance, locals: &[Ident]) -> TokenStream {
        let function = &self.function.sig.ident;
        let call =
            self.signature.arguments.iter().zip(locals).map(|(argument, local)| match argument.is_borrowed {
                true => quote!(::core::borrow::Borrow::borrow(&#local)),
                false => quote!(#local),
            });
        let turbofish = if instance.is_empty() { quote!() } else { quote!(::#instance) };
        let output = match self.signature.is_async {
            true => quote!(#function #turbofish(#(#call),*).await),
            false => quote!(#function #turbofish(#(#call),*)),
        };
        let output = match self.maps_failure {
            true => quote!(::flame_actor::__private::MapFailure::mapped(#output)),
            false => output,
        };
        match self.signature.is_async {
            true => quote! {
                ::flame_actor::TaskRun::Async(::std::boxed::Box::pin(async move { #output }))
            },
            false => quote! {
                ::flame_actor::TaskRun::Blocking(::std::boxed::Box::new(move || #output))
            },
        }
    }

    fn phantom_type(&self) -> TokenStream {
        let types: Vec<_> = self.signature.generics.type_params().map(|parameter| &parameter.ident).collect();
        match types.is_empty() {
            true => quote!(),
            // `T` need not be sized.
            false => quote! {
                __types: ::core::marker::PhantomData<fn() -> (#(::core::marker::PhantomData<#types>,)*)>
            },
        }
    }

    fn phantom_value(&self) -> TokenStream {
        match self.signature.generics.type_params().next() {
            None => quote!(),
            Some(_) => quote!(__types: ::core::marker::PhantomData),
        }
    }
}

/// A variable for an argument, which may itself be called like its function. It has the hygiene of the argument's type,
/// because the compiler reports an expression of a hygiene of its own at the attribute.
fn local((index, argument): (usize, &Argument)) -> Ident {
    format_ident!("__arg{index}", span = argument.span)
}

/// Reads `#[task(u32, String)]`, or `#[task((u32, String), (u8, String))]` for more than one parameter.
fn instances(list: TokenStream, function: &ItemFn, signature: &Signature) -> Result<Vec<Instance>> {
    let parameters = &signature.generics.params;
    if parameters.is_empty() {
        return match list.is_empty() {
            true => Ok(vec![quote!()]),
            false => Err(Error::new_spanned(
                list,
                "this function is not generic, so there is nothing to list: write `#[task]`",
            )),
        };
    }
    if list.is_empty() {
        return Err(Error::new_spanned(
            &function.sig.generics,
            format!(
                "another node can find a generic task only by concrete types: list them, `#[task({}, …)]`",
                example(parameters)
            ),
        ));
    }
    let version = if parameters.len() == 1 { one_argument } else { some_arguments };
    let parser = |input: ParseStream<'_>| Punctuated::<_, Token![,]>::parse_terminated_with(input, version);
    let versions = parser.parse2(list)?;
    versions.into_iter().map(|version| checked(version, parameters.len())).collect()
}

type GenericArguments = Punctuated<GenericArgument, Token![,]>;

fn one_argument(input: ParseStream<'_>) -> Result<GenericArguments> {
    input.parse().map(|argument: GenericArgument| GenericArguments::from_iter([argument]))
}

fn some_arguments(input: ParseStream<'_>) -> Result<GenericArguments> {
    let content;
    syn::parenthesized!(content in input);
    GenericArguments::parse_terminated(&content)
}

fn checked(arguments: GenericArguments, count: usize) -> Result<Instance> {
    if arguments.len() == count {
        return Ok(quote_spanned!(arguments.span()=> <#arguments>));
    }
    let message =
        format!("the function has {count} generic parameters, and {} are listed here", arguments.len());
    Err(Error::new_spanned(arguments, message))
}

/// How a list for these parameters might begin.
fn example(parameters: &Punctuated<GenericParam, Token![,]>) -> String {
    let each = |parameter: &GenericParam| match parameter {
        GenericParam::Const(_) => "4",
        _ => "u32",
    };
    let all = parameters.iter().map(each).collect::<Vec<_>>().join(", ");
    if parameters.len() == 1 { all } else { format!("({all})") }
}
