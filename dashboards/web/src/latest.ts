/** What `/api/v1/latest` and the live feed say of a datastream. */
export interface Latest {
  datastream: string;
  station: string;
  phenomenon_time: string | null;
  result: number | null;
  /** QARTOD: 1 good, 2 not evaluated, 3 suspect, 4 fail. */
  quality: number | null;
  age_s: number | null;
  stale: boolean;
  state: string;
}
