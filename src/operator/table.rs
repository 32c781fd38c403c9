//! Columns for a terminal.

/// Rows under heads (none if there are no heads), with two spaces between columns. The last column
/// is as wide as it is.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let heads: Vec<_> = heads.iter().map(|head| (*head).to_owned()).collect();
    let rows: Vec<Vec<_>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| plain(cell)).collect())
        .collect();
    let all = || {
        std::iter::once(&heads)
            .filter(|heads| !heads.is_empty())
            .chain(&rows)
    };
    let columns = all().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<_> = (0..columns)
        .map(|column| {
            let cells = all().filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    for row in all() {
        let cells = row.iter().zip(&widths);
        let line: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Text without control characters: what others have written must not drive the terminal.
pub(super) fn plain(text: &str) -> String {
    text.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = [row(["é", "1"]), row(["long", ""])];
        assert_eq!(table(&["A", "B"], &rows), "A     B\né     1\nlong\n");
        assert_eq!(table(&[], &rows), "é     1\nlong\n");
        assert_eq!(table(&[], &[]), "");
        assert_eq!(table(&[], &[row(["a\x1b[2J", "\nb"])]), "a?[2J  ?b\n");
    }
}
