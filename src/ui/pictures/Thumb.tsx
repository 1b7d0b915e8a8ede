// A picture as the model reads it, its pixels left square.
import { useEffect, useRef } from 'react';
import type { Picture } from '../../store/contract';

export function Thumb({ picture, label }: { picture: Picture; label: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    canvas.current?.getContext('2d')?.putImageData(new ImageData(new Uint8ClampedArray(picture.rgba), picture.width, picture.height), 0, 0);
  }, [picture]);
  return <canvas ref={canvas} className="thumb" width={picture.width} height={picture.height} role="img" aria-label={label} title={label} />;
}
