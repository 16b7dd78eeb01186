//! How chunks lie on the engine's pages: with arbitrary sizes a fifth of the file was empty space at their ends.

use super::head::SHORT_CHUNK;
use crate::engine::Row;
use std::collections::BTreeSet;

/// The most points that are sealed together: more would cost few bits less and make late points and short looks dearer.
const MOST_POINTS: usize = 5120;
/// Bytes of a chunk that fill half a page of the engine, with a little left over; a larger one fills whole pages beside. With arbitrary
/// sizes a fifth of the file was empty space at the ends of pages.
const FITTING: usize = 1950;
/// Bytes of a row that lie on a page of their own when the row is longer than one; room on a page for rows; what a row takes beside its body.
const PAGE: usize = 4092;
const ROOM: usize = 4086;
const BESIDE: usize = 64;
/// How many points to seal next time, from what the last chunk took: as many as fill a fitting part of a page.
pub(super) fn fitting_points(points: usize, bytes: usize) -> usize {
    let most = MOST_POINTS * bytes / points.max(1);
    let room = if most < FITTING { most } else { FITTING + (most - FITTING) / PAGE * PAGE };
    (room * points / bytes.max(1)).clamp(SHORT_CHUNK, MOST_POINTS)
}

/// How many of so many points, which take so many bytes, make a row that fills its part of a page: all, or as many as fill a smaller part.
pub(crate) fn fitting(points: usize, bytes: usize) -> usize {
    // Rows to a page, less what stands beside the body.
    let parts = [2, 3, 4, 6, 8].map(|rows| ROOM / rows - BESIDE);
    let (whole, rest) =
        if bytes + BESIDE <= ROOM { (0, bytes) } else { ((bytes - parts[0]) / PAGE * PAGE, (bytes - parts[0]) % PAGE + parts[0]) };
    if rest > ROOM - ROOM / 10 - BESIDE {
        return points;
    }
    let Some(part) = parts.into_iter().find(|part| *part <= rest) else { return points };
    let is_full = parts.into_iter().any(|part| rest <= part && rest + part / 10 >= part);
    let fits = points * (whole + part) / bytes.max(1);
    if is_full || fits < SHORT_CHUNK { points } else { fits - fits / 128 }
}

/// Orders rows so that, one after another, they leave little of the engine's pages empty: the largest first, each on the page
/// where it fits best.
pub(crate) fn in_pages(rows: Vec<Row>) -> Vec<Row> {
    /// Of a row that is longer than a page stays at least so much.
    const LEAST: usize = 489;
    let on_page = |row: &Row| match row.body.len() + BESIDE {
        bytes if bytes <= ROOM => bytes,
        bytes => LEAST + (bytes - LEAST) % PAGE,
    };
    let mut by_size: Vec<(usize, Row)> = rows.into_iter().map(|row| (on_page(&row), row)).collect();
    by_size.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    let mut pages: Vec<Vec<Row>> = Vec::new();
    // Room on a page, and which.
    let mut rooms: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (size, row) in by_size {
        let best = rooms.range((size, 0)..).next().copied();
        let (room, place) = best.unwrap_or((ROOM, pages.len()));
        rooms.remove(&(room, place));
        rooms.insert((room.saturating_sub(size), place));
        match pages.get_mut(place) {
            Some(page) => page.push(row),
            None => pages.push(vec![row]),
        }
    }
    pages.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_would_leave_room_is_cut_to_a_part_of_a_page() {
        assert_eq!(fitting(4000, 1950), 4000, "half a page");
        assert_eq!(fitting(4000, 1290), 4000, "a third");
        let third = fitting(4000, 1600);
        assert!((3000..3260).contains(&third), "{third}");
        assert_eq!(fitting(4000, 4000), 4000, "a page");
        let page_and_half = fitting(4000, 7000);
        assert!((3400..3500).contains(&page_and_half), "{page_and_half}");
        assert_eq!(fitting(800, 700), 800, "short enough");
    }

    #[test]
    fn rows_are_ordered_so_that_pages_fill() {
        let row = |bytes: usize| Row { part: 0, at: 0, weight: 0, summary: Vec::new(), body: vec![0; bytes] };
        let sizes = |rows: Vec<Row>| rows.iter().map(|row| row.body.len()).collect::<Vec<_>>();
        assert_eq!(sizes(in_pages(vec![row(900), row(3000), row(1950), row(1950)])), [3000, 900, 1950, 1950]);
    }
}
