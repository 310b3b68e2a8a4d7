/** Style sheets that vite bundles: imported for their effect alone. */
declare module '*.css';
