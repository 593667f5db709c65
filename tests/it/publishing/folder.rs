//! A runbook that lies in the folder and is published in the browser as well: the newest published version is in use.

use axum::http::StatusCode;
use muster::catalog::shelf::{Librarian, Shelf};

use super::{Desk, text};
use crate::scratch::Scratch;

struct Folder {
    scratch: Scratch,
    librarian: Librarian,
}

impl Folder {
    fn of(desk: &Desk) -> Self {
        let scratch = Scratch::new();
        let librarian = Librarian {
            folder: scratch.path().to_owned(),
            targets: None,
            shelf: Shelf::default(),
            pool: desk.site.intake.database.pools.background.clone(),
            clock: desk.site.clock().clone(),
        };
        Self { scratch, librarian }
    }

    fn put(&self, text: &str) {
        std::fs::write(self.scratch.path().join("shop.yaml"), text).unwrap();
    }

    fn remove(&self) {
        std::fs::remove_file(self.scratch.path().join("shop.yaml")).unwrap();
    }

    /// Looks as a process does that has just started.
    async fn look(&self) {
        self.librarian.pass(None).await.unwrap();
    }

    /// Titles of what matching works with.
    fn shelf(&self) -> Vec<String> {
        let versions = self.librarian.shelf.versions.borrow();
        let versions = versions.as_ref().unwrap();
        versions
            .iter()
            .map(|version| version.runbook.title.clone())
            .collect()
    }
}

#[tokio::test]
async fn the_newest_published_version_is_in_use_wherever_it_came_from() {
    let desk = Desk::new().await;
    let folder = Folder::of(&desk);
    folder.put(&text("", "File one"));
    folder.look().await;
    assert_eq!(desk.title().await, "File one");
    let version = desk.current().await.unwrap();
    assert_eq!(desk.publisher(version.id).await, None);

    desk.brings(&desk.ana, &text("", "Browser"), StatusCode::CREATED)
        .await;
    let page = desk.site.get("/runbooks/shop/edit", &desk.ana).await.text;
    assert!(page.contains("until its file is changed"), "{page}");
    // Neither a start nor another file's change makes the file speak again, and the shelf follows the browser.
    let seen = folder.librarian.pass(None).await.unwrap();
    std::fs::write(
        folder.scratch.path().join("other.yaml"),
        text("", "Other").replace("runbook: shop", "runbook: other"),
    )
    .unwrap();
    let seen = folder.librarian.pass(Some(seen)).await.unwrap();
    assert_eq!(folder.shelf(), ["Other", "Browser"]);
    desk.brings(&desk.ana, &text("", "Browser two"), StatusCode::CREATED)
        .await;
    assert_eq!(folder.shelf(), ["Other", "Browser"]);
    folder.librarian.pass(Some(seen)).await.unwrap();
    assert_eq!(folder.shelf(), ["Other", "Browser two"]);

    folder.put(&text("", "File two"));
    folder.look().await;
    assert_eq!(folder.shelf(), ["Other", "File two"]);
    assert_eq!(desk.acts().await.last().unwrap().0, "");
}

#[tokio::test]
async fn a_file_that_goes_away_takes_its_own_version_with_it_and_no_other() {
    let desk = Desk::new().await;
    let folder = Folder::of(&desk);
    folder.put(&text("", "File"));
    folder.look().await;
    folder.remove();
    folder.look().await;
    assert_eq!(desk.title().await, "");
    folder.put(&text("", "File"));
    folder.look().await;
    let version = desk.current().await.unwrap();
    assert_eq!((version.number, version.runbook.title.as_str()), (1, "File"));

    desk.brings(&desk.ana, &text("", "Browser"), StatusCode::CREATED)
        .await;
    folder.remove();
    folder.look().await;
    assert_eq!(
        desk.title().await,
        "Browser",
        "another version than the file's is in use"
    );
    // One that never had a file is not missed.
    folder.look().await;
    assert_eq!(desk.title().await, "Browser");
}

#[tokio::test]
async fn what_a_file_says_waits_for_review_like_everything_else() {
    let desk = Desk::new().await;
    let folder = Folder::of(&desk);
    let review = "review: 1\n";
    folder.put(&text(review, "File"));
    folder.look().await;
    assert_eq!(desk.title().await, "", "it waits");
    let page = desk.site.get("/runbooks", &desk.rob).await.text;
    assert!(page.contains("proposed by the folder"), "{page}");
    let approved = desk.approve(1, &desk.ana).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    assert_eq!(desk.title().await, "File");
    let version = desk.current().await.unwrap();
    assert_eq!(
        desk.publisher(version.id).await,
        None,
        "its rights are the folder's"
    );

    // A file that lifts its own review waits all the same; taken away and put back, it need not be looked at again.
    folder.put(&text("", "No review"));
    folder.look().await;
    assert_eq!(desk.title().await, "File");
    let shown = desk.proposal(2).await;
    assert_eq!(
        (&shown["state"], &shown["needed"]),
        (&"waiting".into(), &1.into())
    );
    folder.put(&text(review, "File"));
    folder.look().await;
    folder.remove();
    folder.look().await;
    assert_eq!(desk.title().await, "");
    folder.put(&text(review, "File"));
    folder.look().await;
    assert_eq!(desk.title().await, "File");
}
