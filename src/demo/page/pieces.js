// The chess pieces, drawn for this page. `.line` is detail on the body, in a contrasting colour.

const BASE = '<rect x="14.5" y="48" width="35" height="8.5" rx="3"/>';
const SKIRT = '<path d="M21.5 43.5 C22 46 20.5 47.200 18.5 48 H45.5 C43.5 47.200 42 46 42.5 43.5 Z"/>';

const SHAPES = {
  p: `<path d="M27.5 32 C28 39 25.5 43.5 20 48 H44 C38.5 43.5 36 39 36.5 32 Z"/>
      <rect x="22.5" y="28.5" width="19" height="4.5" rx="2.200"/><circle cx="32" cy="20.5" r="8.600"/>`,
  r: `<path d="M23.5 29 H40.5 L43 48 H21 Z"/>
      <path d="M17 10.5 H24.5 V15.5 H28.5 V10.5 H35.5 V15.5 H39.5 V10.5 H47 V22 L41.5 29 H22.5 L17 22 Z"/>
      <path class="line" d="M21 22.5 H43"/>`,
  n: `<path d="M20.5 48 C20 40.5 24.5 37.5 28.5 34 C30.5 32.300 31.5 30.600 31.800 28.600
        C28.5 31.200 24.800 32 22 33.600 C19.800 34.800 19.300 37.400 16.800 37.800 C13.600 38.300 10.900 35 12.200 31.600
        C13.700 27.600 17.800 24.300 19.200 19.600 C19.900 17.300 20.800 15.900 22.400 14.5 L22.100 8.200 L28.200 12
        C40.800 13.200 48.600 24.5 47.600 39.5 C47.400 43 46.700 45.600 45.600 48 Z"/>
      <path class="line" d="M33.5 16.5 C40.5 20.5 43.600 29.5 42.600 41.5"/>
      <circle class="eye" cx="24.800" cy="20.200" r="1.900"/><circle class="eye" cx="15.600" cy="33.300" r="1.100"/>`,
  b: `<circle cx="32" cy="9.5" r="3.700"/>
      <path d="M32 13 C24 18.5 19.600 26 21.900 32.400 C22.800 35 24.800 37 26.5 38 H37.5 C39.200 37 41.200 35 42.100 32.400
        C44.400 26 40 18.5 32 13 Z"/>
      <path d="M27.5 40 C27.5 44 25 46.5 20 48 H44 C39 46.5 36.5 44 36.5 40 Z"/>
      <rect x="22.5" y="37" width="19" height="4.5" rx="2.200"/><path class="line" d="M36 19.5 L31 27.5"/>`,
  q: `<path d="M12.300 20 L19.300 40 H44.700 L51.700 20 L42.600 30.5 L42.100 14.5 L35.800 28.5 L32 12.5 L28.200 28.5 L21.900 14.5
        L21.400 30.5 Z"/>
      <circle cx="11.800" cy="17.5" r="3.200"/><circle cx="21.600" cy="12.200" r="3.200"/><circle cx="32" cy="9.800" r="3.400"/>
      <circle cx="42.400" cy="12.200" r="3.200"/><circle cx="52.200" cy="17.5" r="3.200"/>
      ${SKIRT}<rect x="17.5" y="39.5" width="29" height="4.5" rx="2.200"/>`,
  k: `<path d="M30 4 H34 V7.5 H37.800 V11.5 H34 V17 H30 V11.5 H26.200 V7.5 H30 Z"/>
      <path d="M32 15 C28.400 15 26.800 18.200 27.800 21 L32 31 L36.200 21 C37.200 18.200 35.600 15 32 15 Z"/>
      <path d="M32 29 C29.5 19.5 13.5 17.5 12.300 27.300 C11.700 32.600 16.800 36 18.800 40.5 H45.200 C47.200 36 52.300 32.600 51.700 27.300
        C50.5 17.5 34.5 19.5 32 29 Z"/>
      <path class="line" d="M32 30 V39"/>
      ${SKIRT}<rect x="17.5" y="39.5" width="29" height="4.5" rx="2.200"/>`,
};

const NAMES = { p: 'pawn', r: 'rook', n: 'knight', b: 'bishop', q: 'queen', k: 'king' };

const parser = new DOMParser();

/** An SVG of the piece that a FEN letter stands for: `N` is a white knight, `q` a black queen. */
export function piece(letter) {
  const kind = letter.toLowerCase();
  const side = letter === kind ? 'black' : 'white';
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" class="piece ${side}">${SHAPES[kind]}${BASE}</svg>`;
  return document.importNode(parser.parseFromString(svg, 'image/svg+xml').documentElement, true);
}

export function nameOf(letter) {
  const kind = letter.toLowerCase();
  return `${letter === kind ? 'black' : 'white'} ${NAMES[kind]}`;
}
