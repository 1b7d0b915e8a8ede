import type { Page } from '@playwright/test';

export function textOf(page: Page, id: string): Promise<string>;
export function numberOf(page: Page, id: string): Promise<number>;
export function samples(page: Page): Promise<{ off: string; on: string }>;
export function ready(page: Page): Promise<void>;
export function choose(page: Page, what: { model?: string; data?: string; method?: string; preset?: string }): Promise<void>;
export function train(page: Page): Promise<void>;
export function status(page: Page, wanted: RegExp, limitMs?: number): Promise<void>;
export function exportAdapter(page: Page, limitMs?: number): Promise<Uint8Array<ArrayBuffer>>;
export function settle(page: Page, holds: () => Promise<boolean>, what: string, limitMs?: number): Promise<void>;
