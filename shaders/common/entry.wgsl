// Tables of engine/joint/table.ts: for every place the number of its entry + 1 or 0, then the entries. A word of all ones: not there.
const NOWHERE = 0xffffffffu;
