//! The pane of a step: its lines while they come and when it is over.

use futures_util::StreamExt;

use super::{Press, step};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_seen_while_the_program_writes_and_hold_no_secret() {
    let press = Press::new(16 << 20).await;
    // The secret is written in two goes, with a moment between that would be long enough to store the first.
    let script = format!(
        "printf 'drained web-1\\r\\nlogin with '; printf $TOKEN | head -c 9; sleep 0.6; printf $TOKEN | tail -c +10; \
         echo ' now'; sleep 0.3; echo careful >&2; \
         {}; echo 'the end'",
        press.waiting("go")
    );
    let run = press.print(&script).await;
    let first = press.page(run, "", &["drained web-1"]).await;
    assert!(!first.contains("hunter22"), "{first}");
    let going = press
        .page(
            run,
            "",
            &[
                "login with [redacted] now",
                "<span class=\"a-1\">err </span>careful",
                "3 lines",
                "It is still running",
                "data-live=\"/live?scope=step%3A",
            ],
        )
        .await;
    assert!(
        !going.contains("the end") && !going.contains("hunter22"),
        "{going}"
    );
    // The stream goes on behind the last line that the page has.
    let live = going
        .split("data-live=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let live = live.replace("&amp;", "&").replace("&#38;", "&");
    assert!(live.contains(".1.3"), "{live}");
    let mut stream = press.site.live(&live, &press.reader).await;
    press.let_go("go");
    let mut told = String::new();
    while !told.contains("the end") {
        told.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
    }
    let news = told.find("log-news").unwrap();
    assert!(told[news..].contains("id=\\\"L4\\\""), "{told}");
    assert!(
        !told[news..].contains("id=\\\"L3\\\""),
        "what is there does not come again: {told}"
    );
    drop(stream);
    let over = press
        .page(run, "", &["4 lines", "the end", "Download redacted (56 B)"])
        .await;
    assert!(!over.contains("still running"), "{over}");
    let file = press.file(run).await;
    assert_eq!(
        file,
        "drained web-1\nlogin with [redacted] now\ncareful\nthe end\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_output_is_read_in_windows_found_in_and_kept_in_part() {
    let press = Press::new(1 << 20).await;
    let run = press
        .print("seq -f 'line %06.0f of a hundred thousand' 1 100000")
        .await;
    let page = press
        .page(
            run,
            "",
            &[
                "of 100,000",
                "lines 99,501 to 100,000",
                "in the middle were let go",
            ],
        )
        .await;
    assert_eq!(page.matches("class=\"log-line\"").count(), 500);
    // Whoever goes back step by step comes over the gap, and sees where it is.
    let mut to = 99_500;
    let head = loop {
        let page = press
            .page(run, &format!("?attempt=1&to={to}"), &["class=\"log-line\""])
            .await;
        if page.contains("were let go here") {
            break page;
        }
        to -= 500;
        assert!(to > 0, "no gap was met");
    };
    assert!(head.contains("of a hundred thousand"), "{head}");
    let first = press
        .page(run, "?attempt=1&to=500", &["lines 1 to 500 of 100,000"])
        .await;
    assert!(first.contains("line 000001 of"), "{first}");
    press
        .page(
            run,
            "?attempt=1&find=LINE+099%39",
            &["100 lines hold it", "id=\"L99900\"", "id=\"L99999\""],
        )
        .await;
    let file = press.file(run).await;
    assert!(file.len() <= (1 << 20) + 100, "{}", file.len());
    let numbers: Vec<u32> = file
        .lines()
        .filter_map(|line| line.strip_prefix("line ")?.get(..6)?.parse().ok())
        .collect();
    assert!(
        numbers.is_sorted_by(|one, next| one < next),
        "nothing comes twice"
    );
    assert_eq!((numbers[0], numbers[numbers.len() - 1]), (1, 100_000));
    assert_eq!(file.matches("were let go here").count(), 1);
    let missing = 100_000 - numbers.len();
    assert!(file.contains(&format!("[{missing} lines were let go here]")));
    assert!(
        !press
            .site
            .get(&step(run, "/output"), "")
            .await
            .status
            .is_success()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tail_of_a_long_output_is_read_without_the_rest() {
    let press = Press::new(16 << 20).await;
    let run = press.print("seq 1 100000").await;
    press.page(run, "", &["of 100,000"]).await;
    let mut conn = press.site.conn().await;
    let plan = sqlx::query_scalar::<_, String>(
        "explain (analyze, format text) select text from output_chunks
         where run_id = 1 and step = 'press' and attempt = 1 and first_line > 99001 and first_line <= 100000
           and first_line + lines > 99501 order by first_line limit 2000",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap()
    .join("\n");
    assert!(plan.contains("output_chunks_pkey"), "{plan}");
    let chunks = press
        .site
        .intake
        .database
        .count("select count(*) from output_chunks where first_line > 99001")
        .await;
    assert!((1..=1000).contains(&chunks), "{chunks}");
}
