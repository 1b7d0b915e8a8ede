// What of earlier visits is there: entries that cannot be read stay where they are and are named here; the room they all take.
import type { RunId } from '../contract';
import type { RunRecord } from './runs';

export interface UnreadableEntry { key: string; problem: string; raw: unknown }
export interface StorageRoom { used: number; quota: number; /** The browser has promised not to clear it by itself. */ persisted: boolean }

export interface HistorySlice {
  status: 'loading' | 'ready' | 'unavailable';
  /** Why runs are not kept, in the browser's words. */
  problem: string | null;
  unreadable: readonly UnreadableEntry[];
  room: StorageRoom | null;
  /** Deleted, but still to be had back. */
  trash: Readonly<Record<RunId, { run: RunRecord; at: number }>>;
}

export const initialHistory: HistorySlice = { status: 'loading', problem: null, unreadable: [], room: null, trash: {} };
