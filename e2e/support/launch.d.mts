import type { LaunchOptions } from '@playwright/test';

export const softwareFlags: readonly string[];
export function launchOptions(): Promise<LaunchOptions>;
