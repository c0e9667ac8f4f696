/** Tables that actors other than their maker can reach, and the names of tables in reports. */
import { pageNumberOf, type PageRef } from '../../machine/pages.ts';
import { LINKED, type Tables } from '../tables.ts';

export const isRoot = (tables: Tables, table: PageRef): boolean =>
  tables.levelOf(table) === tables.rootLevel;

/** The table is a root, or is or was linked: not private to the actor that made it. */
export const isReachable = (tables: Tables, table: PageRef): boolean =>
  tables.stageOf(table) >= LINKED || isRoot(tables, table);

/** `p26`: a table as reports name it. */
export const tableName = (table: PageRef): string => `p${pageNumberOf(table)}`;
