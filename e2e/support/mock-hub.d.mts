export interface MockRepo { kind?: 'model' | 'dataset'; commit: string; files: Record<string, Uint8Array>; token?: string; gated?: boolean; accepted?: string; revisions?: string[] }
export interface Fault { match: RegExp; times?: number; status?: number; error?: string; headers?: Record<string, string>; cutAfter?: number; whole?: boolean }
export interface MockHub { url: string; log: string[]; faults: Fault[]; repos: Record<string, MockRepo>; close(): Promise<unknown> }
export function startHub(options: { repos: Record<string, MockRepo> }): Promise<MockHub>;
