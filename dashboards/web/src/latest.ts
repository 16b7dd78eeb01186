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
  /** From when on it is stale if nothing newer comes. */
  stale_at: string | null;
  state: string;
  /** Canonical unit per hour, by the one rate of rise. */
  rise_per_hour: number | null;
  /** The threshold that a level is near, from 1. */
  near_threshold: number | null;
  /** Of a rain gauge, its sums, the shortest window first. */
  rain: RainSum[] | null;
}

export interface RainSum {
  /** `PT1H` */
  period: string;
  sum: number | null;
  /** Otherwise at least so much fell. */
  is_whole: boolean;
}
