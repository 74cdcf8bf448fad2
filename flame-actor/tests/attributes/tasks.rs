//! `#[task]`: each shape crosses serde and runs.

use std::{fmt::Display, rc::Rc};

use flame_actor::{
    __private::{References, Registry},
    Task, TaskRun, task,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

const LIMIT: usize = 1024;

/// Encodes a task, finds it by its number and runs it, as a pool and a runner do between them.
async fn call<T: Task>(task: T) -> T::Output {
    let registry = Registry::get().expect("the registry is sound");
    let number = registry.task::<T>().expect("the task is registered");
    let mut arguments = bytes::BytesMut::new();
    flame_transport::codec::encode(&task, &mut arguments, LIMIT).expect("the arguments are encoded");
    drop(task);
    let run = registry.task_run(number).expect("the number is known");
    let output = match run(&arguments, References::default(), LIMIT).expect("the arguments are decoded") {
        TaskRun::Async(work) => work.await,
        TaskRun::Blocking(work) => tokio::task::spawn_blocking(work).await.expect("the work does not panic"),
    };
    flame_transport::codec::decode(&output.payload().expect("the output is encoded"))
        .expect("the output is decoded")
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
struct Image(u32);

/// Documented.
#[task]
async fn resize(image: Image, width: u32) -> Result<Image, String> {
    tokio::task::yield_now().await;
    if width == 0 { Err(String::from("no width")) } else { Ok(Image(image.0 * width)) }
}

#[actix::test]
async fn an_async_function_is_called_in_place_and_away() {
    assert_eq!(resize(Image(2), 3).await, Ok(Image(6)));
    assert_eq!(call(resize::task(Image(2), 3)).await, Ok(Image(6)));
    assert_eq!(call(resize::task(Image(2), 0)).await, Err(String::from("no width")));
}

#[task]
fn sum(n: u64) -> u64 {
    (0..n).sum()
}

#[actix::test]
async fn a_plain_function_may_block() {
    assert_eq!(sum(10), 45);
    assert_eq!(call(sum::task(10)).await, 45);
    assert!(matches!(sum::task(10).run(), TaskRun::Blocking(_)));
    assert!(matches!(resize::task(Image(2), 3).run(), TaskRun::Async(_)));
}

#[task]
async fn nothing() {
    tokio::task::yield_now().await;
}

#[actix::test]
async fn no_argument_and_no_output_travel() {
    nothing().await;
    call(nothing::task()).await;
}

#[task]
async fn greet(name: &str, numbers: &[u32], image: &Image, _unused: &'_ u8) -> String {
    tokio::task::yield_now().await;
    format!("{name} {} {}", numbers.len(), image.0)
}

#[task]
fn longest<'a>(first: &'a str, second: &'a str) -> usize {
    let longer: &'a str = if first.len() > second.len() { first } else { second };
    longer.len()
}

#[actix::test]
async fn references_travel_as_owned_values() {
    assert_eq!(greet("you", &[1, 2], &Image(3), &0).await, "you 2 3");
    assert_eq!(call(greet::task("you".into(), vec![1, 2], Image(3), 0)).await, "you 2 3");
    assert_eq!(call(longest::task("a".into(), "abc".into())).await, 3);
}

#[task]
async fn not_send(n: u32) -> u32 {
    let shared = Rc::new(n);
    tokio::task::yield_now().await;
    *shared + 1
}

#[actix::test]
async fn a_future_need_not_be_send() {
    assert_eq!(call(not_send::task(3)).await, 4);
}

// The parameter needs nothing of serde: the listed types have it.
#[task(u32, String)]
async fn twice<T: Clone>(value: T) -> Vec<T> {
    tokio::task::yield_now().await;
    vec![value.clone(), value]
}

#[task((u32, Image), ((u8, u8), u32))]
fn pair<A, B>(a: A, b: Option<B>) -> (A, Option<B>)
where
    A: Clone,
{
    (a, b)
}

#[task(3, 4)]
fn zeros<const N: usize>(fill: u8) -> (usize, Vec<u8>) {
    (N, vec![fill; N])
}

#[task((u32, 2))]
fn fill<T: Copy, const N: usize>(value: &T) -> Vec<T> {
    [*value; N].to_vec()
}

#[task(Vec<u32>)]
fn first<I: IntoIterator>(items: I, default: I::Item) -> I::Item {
    items.into_iter().next().unwrap_or(default)
}

#[task(str)]
fn print<'a, T: Display + ToOwned + ?Sized + 'a>(value: &'a T) -> String {
    value.to_string()
}

#[task(String)]
fn bounded_by_serde<T>(value: T) -> T
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    value
}

#[actix::test]
async fn generic_functions_are_tasks_for_the_listed_types() {
    assert_eq!(call(twice::task(3_u32)).await, [3, 3]);
    assert_eq!(call(twice::task(String::from("x"))).await, ["x", "x"]);
    assert_eq!(call(pair::task(3_u32, Some(Image(1)))).await, (3, Some(Image(1))));
    assert_eq!(call(pair::task((1_u8, 2_u8), None::<u32>)).await, ((1, 2), None));
    assert_eq!(call(zeros::<4>::task(7)).await, (4, vec![7; 4]));
    assert_eq!(call(fill::<u32, 2>::task(7)).await, [7, 7]);
    assert_eq!(call(first::task(vec![5_u32], 1)).await, 5);
    assert_eq!(call(print::<str>::task("x".into())).await, "x");
    assert_eq!(call(bounded_by_serde::task(String::from("x"))).await, "x");
}

#[actix::test]
async fn each_version_of_a_generic_function_has_a_number_of_its_own() {
    fn number<T: Task>(_: &T) -> Option<u32> {
        Registry::get().expect("the registry is sound").task::<T>()
    }
    assert_ne!(number(&twice::task(3_u32)), number(&twice::task(String::new())));
}

#[task]
fn patterns((a, b): (u32, u32), Image(c): Image, mut d: u32, _: u8, arg0: u32) -> u32 {
    d += arg0;
    a + b + c + d
}

#[task]
fn raw(r#type: u32, r#match: u32) -> u32 {
    r#type + r#match
}

#[task]
fn named_like_me(named_like_me: u32) -> u32 {
    named_like_me
}

#[task]
fn r#loop(task: u32, self_: u32) -> u32 {
    task + self_
}

#[actix::test]
async fn arguments_may_have_any_pattern_and_name() {
    assert_eq!(call(patterns::task((1, 2), Image(3), 4, 0, 5)).await, 15);
    assert_eq!(call(raw::task(1, 2)).await, 3);
    assert_eq!(call(named_like_me::task(1)).await, 1);
    assert_eq!(call(r#loop::task(1, 2)).await, 3);
}

#[task]
#[allow(clippy::too_many_arguments, clippy::many_single_char_names)]
fn seventeen(
    a: u8,
    b: u8,
    c: u8,
    d: u8,
    e: u8,
    f: u8,
    g: u8,
    h: u8,
    i: u8,
    j: u8,
    k: u8,
    l: u8,
    m: u8,
    n: u8,
    o: u8,
    p: u8,
    q: u8,
) -> u32 {
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q].into_iter().map(u32::from).sum()
}

#[actix::test]
async fn any_number_of_arguments_travels() {
    assert_eq!(call(seventeen::task(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2)).await, 18);
}

/// A module that other code imports from.
mod deep {
    use flame_actor::task;

    /// Documented, with one `use` for both names.
    #[task]
    pub(super) async fn inner(n: u32) -> u32 {
        std::future::ready(n).await
    }

    mod private {
        use flame_actor::task;

        #[task]
        fn unused(n: u32) -> u32 {
            n
        }
    }
}

#[actix::test]
async fn one_use_imports_the_function_and_the_task() {
    use deep::inner;
    assert_eq!(inner(4).await, 4);
    assert_eq!(call(inner::task(4)).await, 4);
}

#[actix::test]
async fn a_task_that_nobody_names_is_registered() {
    let registry = Registry::get().expect("the registry is sound");
    let mut names = (0..).map_while(|number| registry.task_name(number));
    assert!(names.any(|name| name.ends_with("deep::private::unused")));
}

/// As a block form of `call` expands: a local task with one name in each place.
macro_rules! call_block {
    (|$($value:ident: $type:ty),*| -> $output:ty $block:block) => {{
        #[task]
        async fn block($($value: $type),*) -> $output {
            std::future::ready(()).await;
            $block
        }
        call(block::task($($value),*))
    }};
}

#[actix::test]
async fn blocks_of_one_function_are_tasks_of_their_own() {
    let (image, width) = (Image(5), 2_u32);
    let wider = call_block!(|image: Image, width: u32| -> Image { Image(image.0 * width) }).await;
    let deeper = call_block!(|wider: Image| -> u32 { wider.0 + 1 }).await;
    assert_eq!(deeper, 11);
}

#[cfg(any())]
#[task]
async fn gone_before(_: Missing) {}

#[task]
#[cfg(any())]
async fn gone_after(_: Missing) {}

#[task]
#[deprecated = "kept for old callers"]
#[must_use]
fn old(n: u32) -> u32 {
    n
}

#[actix::test]
async fn attributes_of_the_function_stay_with_it() {
    assert_eq!(call(old::task(1)).await, 1);
}

#[test]
fn a_task_value_is_as_small_as_its_arguments() {
    let mut bytes = bytes::BytesMut::new();
    flame_transport::codec::encode(&resize::task(Image(2), 3), &mut bytes, LIMIT).expect("it is encoded");
    // An array of two small numbers: no field names.
    assert_eq!(bytes.len(), 3);
}

#[test]
fn arguments_that_are_no_arguments_are_an_error() {
    let registry = Registry::get().expect("the registry is sound");
    let run =
        registry.task::<resize>().and_then(|number| registry.task_run(number)).expect("it is registered");
    assert!(run(&[0xc1, 0xff], References::default(), LIMIT).is_err());
    assert!(run(&[], References::default(), LIMIT).is_err());
    assert!(registry.task_run(u32::MAX).is_none());
    assert!(registry.task_name(u32::MAX).is_none());
}

#[actix::test]
async fn an_output_beyond_the_limit_is_an_error() {
    let TaskRun::Blocking(_) = zeros::<4>::task(7).run() else { panic!("a plain function blocks") };
    let registry = Registry::get().expect("the registry is sound");
    let run =
        registry.task::<zeros<4>>().and_then(|number| registry.task_run(number)).expect("it is registered");
    let Ok(TaskRun::Blocking(work)) = run(&[0x91, 7], References::default(), 2) else {
        panic!("the arguments are sound")
    };
    assert!(work().payload().is_err());
}

#[test]
fn a_task_tells_the_path_of_its_function() {
    assert_eq!(<resize as Task>::NAME, concat!(module_path!(), "::resize"));
}
