// A square core C [n, n] kept as strips, packed block after block. Block j has width (first block `first`, all others `step`), begins at
// s and ends at e = s + width: first its row strip R [width, e] for rows s … e of C, then its column strip K [e, width] for columns
// s … e; both cover the block on the diagonal, where they add up. It begins at s² + the squares of the widths before it.
struct StripsOf {
  // Which strips cover a number of C, and where each would have it: to be read and written only where it does.
  in_row: bool,
  in_column: bool,
  at_row: u32,
  at_column: u32,
}

fn strip_block(i: u32, first: u32, step: u32) -> u32 { return select(1u + (i - first) / step, 0u, i < first); }
fn strip_start(block: u32, first: u32, step: u32) -> u32 { return select(first + (block - 1u) * step, 0u, block == 0u); }
fn strip_packed_at(block: u32, first: u32, step: u32) -> u32 {
  let s = strip_start(block, first, step);
  return select(s * s + first * first + (block - 1u) * step * step, 0u, block == 0u);
}

fn strips_of(row: u32, column: u32, first: u32, step: u32) -> StripsOf {
  let by_row = strip_block(row, first, step);
  let by_column = strip_block(column, first, step);
  let row_start = strip_start(by_row, first, step);
  let end = row_start + select(step, first, by_row == 0u);
  let column_start = strip_start(by_column, first, step);
  let width = select(step, first, by_column == 0u);
  return StripsOf(
    by_row >= by_column, by_column >= by_row,
    strip_packed_at(by_row, first, step) + (row - row_start) * end + column,
    strip_packed_at(by_column, first, step) + width * (column_start + width) + row * width + column - column_start,
  );
}
