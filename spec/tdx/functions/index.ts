/** Every function of the interface that is specified, by name. */
import type { InterfaceFunction } from '../module.ts';
import { pageAug } from './page-aug.ts';
import { septAdd } from './sept-add.ts';

const ALL: readonly InterfaceFunction[] = [septAdd, pageAug];

export const FUNCTIONS: ReadonlyMap<string, InterfaceFunction> = new Map(ALL.map((fn) => [fn.name, fn]));
